# shellcheck shell=bash
# What every other file here uses: messages, folders, waiting, locks.

cluster_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=../versions.env
source "$cluster_root/versions.env"

cache_root=${ATELIER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/atelier}
state_root=${ATELIER_STATE:-${XDG_STATE_HOME:-$HOME/.local/state}/atelier}/clusters

say() { printf '%6ss  %s\n' "$SECONDS" "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# What is built depends on these files and on nothing else, so the folder of
# binaries carries their hash: another checkout with the same pins shares it.
bin_dir() {
  local hash
  hash=$(cd "$cluster_root" && cat versions.env tools/*/go.mod tools/*/go.sum tools/*/*.go | sha256sum)
  printf '%s/bin-%s\n' "$cache_root" "${hash:0:12}"
}

# wait_until SECONDS WHAT COMMAND...
wait_until() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || die "gave up waiting for $what"
    sleep 0.1
  done
}

# hold_lock FD FOLDER SECONDS: locks the folder itself, so that no lock file
# outlives it. The kernel lets go when the last holder of FD ends.
hold_lock() {
  local fd=$1 folder=$2 seconds=$3
  eval "exec $fd<\"\$folder\""
  flock --wait "$seconds" "$fd" || die "another command is still working on $folder"
}

require_name() {
  [[ ${NAME:-} =~ ^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$ ]] ||
    die "--name needs a DNS label of at most 40 characters"
}
