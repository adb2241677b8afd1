"""Plays all cases in interleaved rounds and writes the report. `bench/run` prepares what this needs."""

import argparse
import json
import os
import platform
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

import idle
import report
from cases import ALL, cases
from load import load
from proxies import KEYS, MODEL, PORTS, Bench, Work
from usage import cpu_seconds, memory_kib

OUT = Path("out/bench")
CONNECTIONS = 32
# More, so that each may pause for whole milliseconds.
PACED_CONNECTIONS = 64
IDLE = 10_000
KEY = f"Bearer {KEYS[1]}"


def say(text):
    print(f"{time.monotonic() - BEGUN:6.0f}s  {text}", flush=True)


def skipped(bench, case):
    """Why a case cannot be played, or None."""
    if case.work.tls and not bench.gateway_has_tls:
        return f"skipped: {case.title}: this atelier-gateway has no --tls-dir"
    return None


def played(running, seconds, connections, case, pause_ms=None):
    """One round of one proxy."""
    before = cpu_seconds(running.pid)
    result = load(running.port, seconds, connections, case.work.tls, pause_ms=pause_ms, **case.load)
    used = cpu_seconds(running.pid) - before
    wanted = result["requests"] if case.refused else 0
    # The last answers of a round may be refused connections of the one before, no more.
    if result["failed"] > connections or abs(result["refused"] - wanted) > connections:
        raise SystemExit(f"{running.name} failed in {case.name}: {result}")
    return result | {
        "cpu_us": used * 1e6 / result["requests"],
        "rps": result["requests"] / result["seconds"],
        "busy": used / result["seconds"],
    }


def play(bench, case, args):
    """All rounds of a case: {proxy: [round, …]} of throughput, of single requests, and of half load."""
    running = {name: bench.proxy(name, case.work) for name in case.proxies}
    for one in running.values():
        bench.wait(lambda one=one: load(one.port, 1, 4, case.work.tls, **case.load)["requests"] > 10, one)
    full, single, half = ({name: [] for name in running} for _ in range(3))
    for turn in range(args.rounds):
        # Each round begins with another, so that nobody always follows the same.
        order = list(running)[turn % len(running):] + list(running)[: turn % len(running)]
        for name in order:
            full[name].append(played(running[name], args.seconds, CONNECTIONS, case))
        if case.name in ("plain", "key", "key-tls"):
            for name in order:
                single[name].append(played(running[name], 1, 1, case))
                rate = median(one["rps"] for one in full[name]) / 2
                pause = 1000 * PACED_CONNECTIONS / rate
                half[name].append(played(running[name], 2, PACED_CONNECTIONS, case, pause))
        figures = ", ".join(f"{name} {full[name][-1]['cpu_us']:.1f}" for name in running)
        say(f"{case.name} {turn + 1}/{args.rounds}: CPU-µs {figures}")
    bench.stop(*running.values())
    return {"full": full, "single": single, "half": half}


def memory(bench):
    """Memory of each proxy, with no connection and with many."""
    found = {}
    for tls in (False, True):
        if tls and not bench.gateway_has_tls:
            continue
        for name in ALL if not tls else ("gateway",):
            running = bench.proxy(name, Work("key", tls=tls))
            if not tls:
                bench.wait(lambda: idle.use(idle.connect(running.port, 1), KEY) is None, running)
            time.sleep(1)
            steps = {"none": memory_kib(running.pid)}
            connections = idle.connect(running.port, IDLE, tls)
            time.sleep(1)
            steps["connected"] = memory_kib(running.pid)
            idle.use(connections, KEY)
            # The gateway takes a connection for one that rests after two.
            time.sleep(3)
            steps["used"] = memory_kib(running.pid)
            for connection in connections:
                connection.close()
            found[name + (" (TLS)" if tls else "")] = steps
            bench.stop(running)
            say(f"memory of {name}: " + ", ".join(f"{step} {kib['rss']} KiB" for step, kib in steps.items()))
    return found


def tool(bench, *line, stream="stdout"):
    done = subprocess.run([bench.tool, *line], capture_output=True, text=True, check=True, timeout=120)
    return json.loads(getattr(done, stream).strip().splitlines()[-1])


def said(*line):
    """The first line of what a program says of itself."""
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    return (done.stdout + done.stderr).strip().splitlines()[0]


def versions(args):
    cpu = said("grep", "-m1", "model name", "/proc/cpuinfo").split(": ")[1]
    envoy = said(args.envoy, "--version").rpartition("version: ")[2].split("/")[1]
    return [
        f"{cpu}, {os.cpu_count()} cores, Linux {platform.release()}",
        f"{said('nginx', '-v')}; {said('haproxy', '-v')}; Envoy {envoy}",
        f"{said(args.gateway, '--version')} at {said('git', 'rev-parse', '--short', 'HEAD')}",
    ]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gateway", required=True)
    parser.add_argument("--envoy", required=True)
    parser.add_argument("--bench", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--only", action="append", default=[])
    args = parser.parse_args()
    idle.allow_many_files()
    OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="atelier-bench-", dir="/tmp") as folder:
        bench = Bench(Path(folder), args.gateway, args.envoy, args.bench)
        try:
            parts = tool(bench, "parts")
            say(f"checks alone: {parts}")
            requests = tool(bench, "requests", str(bench.folder / "requests"), stream="stderr")
            say(f"allocations: {requests}")
            bench.model()
            results, notes = [], [f"{args.rounds} rounds of {args.seconds} s"]
            for case in cases(bench.folder):
                if args.only and case.name not in args.only:
                    continue
                if reason := skipped(bench, case):
                    notes.append(reason)
                    say(reason)
                    continue
                results.append((case, play(bench, case, args)))
            memories = memory(bench) if not args.only or "memory" in args.only else {}
        finally:
            bench.stop()
    figures = {case.name: result for case, result in results}
    raw = {"cases": figures, "memory": memories, "parts": parts, "requests": requests}
    (OUT / "figures.json").write_text(json.dumps(raw, indent=1))
    text = ["# Report of one run\n", *(f"- {line}" for line in versions(args) + notes), "", report.summary(results)]
    text += [report.by_case(case, result) for case, result in results]
    text += [report.memory(memories), report.alone(parts, requests)]
    (OUT / "report.md").write_text("\n".join(text))
    say(f"{OUT / 'report.md'}")


BEGUN = time.monotonic()
main()
