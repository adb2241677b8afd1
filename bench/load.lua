-- What wrk sends, and how it tells what came of it. By environment:
--   BENCH_CREDENTIAL  the value of `authorization`; BENCH_TOKENS a file of tokens, one a line, taken in turn
--   BENCH_CLOSE       every request on a connection of its own
--   BENCH_PAUSE       milliseconds that a connection waits between two requests, on average

wrk.method = "POST"
wrk.body = '{"data":[[5.1,3.5,1.4,0.2]]}'
wrk.headers["content-type"] = "application/json"
wrk.headers["user-agent"] = "atelier-bench/1"
wrk.headers["authorization"] = os.getenv("BENCH_CREDENTIAL")
if os.getenv("BENCH_CLOSE") then
  wrk.headers["connection"] = "close"
end

local tokens = os.getenv("BENCH_TOKENS")
if tokens then
  local requests, turn = {}, 0
  init = function()
    for token in io.lines(tokens) do
      wrk.headers["authorization"] = "Bearer " .. token
      requests[#requests + 1] = wrk.format()
    end
  end
  request = function()
    turn = turn % #requests + 1
    return requests[turn]
  end
end

local pause = tonumber(os.getenv("BENCH_PAUSE"))
if pause then
  -- Uniform around the mean, so that connections do not march in step; whole milliseconds are all that wrk knows.
  delay = function()
    return math.floor(2 * pause * math.random() + math.random())
  end
end

done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"seconds":%.6f,"failed":%d,"refused":%d,"p50":%d,"p99":%d}\n',
    summary.requests, summary.duration / 1e6, e.connect + e.read + e.write + e.timeout, e.status,
    latency:percentile(50), latency:percentile(99)
  ))
end
