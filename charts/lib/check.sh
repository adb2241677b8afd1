# shellcheck shell=bash disable=SC2154
# One line a check, and what went wrong under those that failed.

passed=0 failed=0

heading() { printf '\n%s\n' "$1"; }

report() { # pass|FAIL TITLE
  printf '  %s  %s\n' "$1" "$2"
  if [[ $1 == pass ]]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

# check TITLE COMMAND...: it succeeds.
check() {
  local title=$1 output status=0
  shift
  # A substitution in a condition would switch errexit off inside the command.
  set +e
  output=$(set -e && "$@" 2>&1)
  status=$?
  set -e
  if ((status == 0)); then
    report pass "$title"
  else
    report FAIL "$title"
    tail -n 12 <<<"$output" | sed 's/^/          /'
  fi
}

# refused TITLE PATTERN COMMAND...: it fails, and says why.
refused() {
  local title="refused: $1" pattern=$2 output
  shift 2
  if output=$("$@" 2>&1); then
    report FAIL "$title"
    echo "          was not refused"
  elif grep -qE -- "$pattern" <<<"$output"; then
    report pass "$title"
  else
    report FAIL "$title"
    tail -n 4 <<<"$output" | sed 's/^/          /'
  fi
}

# eventually SECONDS COMMAND...: it succeeds within that time.
eventually() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || { "$@"; return; }
    sleep 0.2
  done
}

# nothing COMMAND...: it prints nothing.
nothing() {
  local output
  output=$("$@" 2>&1)
  [[ -z $output ]] || { echo "$output" && false; }
}

# ask: reads lines of "user verb group resource subresource name namespace expected" ("-" is empty) and puts each to
# the API server's authorizer; prints the lines with the answer, yes or no, at their end.
ask() {
  local lines=$work/questions
  cat >"$lines"
  jq -cR 'split(" ") | map(if . == "-" then "" else . end) | {
      apiVersion: "authorization.k8s.io/v1", kind: "SubjectAccessReview",
      spec: {user: .[0], resourceAttributes: {
        verb: .[1], group: .[2], resource: .[3], subresource: .[4], name: .[5], namespace: .[6]}}
    }' "$lines" | kubectl create -f - -o json | jq -r 'if .status.allowed then "yes" else "no" end' |
    paste -d ' ' "$lines" -
}

# wrong: of the lines of `ask`, those that were not as expected.
wrong() { awk '$8 != $9 { print "expected " $8 ": " $0; bad = 1 } END { exit bad }'; }

# In the form of cargo's last line, which is what counts tests here.
summary() {
  local word=ok
  if ((failed)); then word=FAILED; fi
  printf '\ntest result: %s. %d passed; %d failed; finished in %d s\n' "$word" "$passed" "$failed" "$SECONDS"
  ((failed == 0))
}
