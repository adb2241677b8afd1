# What the parts of the demo share. Sourced.
# shellcheck shell=bash disable=SC1091,SC2154,SC2034

if [[ -t 1 ]]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; else bold='' dim='' plain=''; fi

step() { printf '\n%s── %s%s\n' "$bold" "$1" "$plain"; }
say() { printf '%s\n' "$*"; }
fail() {
  printf '\nNOT SO: %s\n' "$*" >&2
  exit 1
}

# progress TEXT COMMAND...: runs a command whose output nobody wants unless it fails; says every 10 s that it lives.
progress() {
  local text=$1 log begun=$SECONDS pid last=0
  shift
  log=$(mktemp)
  "$@" >"$log" 2>&1 &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    if ((SECONDS - begun >= last + 10)); then
      last=$((SECONDS - begun))
      printf '%s   %s … %d s: %s%s\n' "$dim" "$text" "$last" "$(tail -n 1 "$log" | cut -c1-90)" "$plain"
    fi
  done
  if ! wait "$pid"; then
    cat "$log" >&2
    rm -f "$log"
    fail "$text"
  fi
  rm -f "$log"
  printf '   %s (%d s)\n' "$text" $((SECONDS - begun))
}

# until_true SECONDS TEXT COMMAND...: waits for a condition, or fails with what was waited for.
until_true() {
  local limit=$1 text=$2 end=$((SECONDS + $1))
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || fail "$text, within $limit s"
    sleep 0.2
  done
}

k() { kubectl -n "$namespace" "$@"; }
millis() { date +%s%3N; }
