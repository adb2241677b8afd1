# Shared by build, push and test; sourced, not run.
# shellcheck shell=bash disable=SC2034

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=$repo/out/images
names=(operator gateway storage sklearn)

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$@"; exit 1; }

# need COMMAND=PACKAGE...: installs from Debian what is missing.
need() {
  local pair missing=()
  for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
  done
  ((${#missing[@]})) || return 0
  if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    die "please install: ${missing[*]} (Debian package names)"
  fi
  say "installing ${missing[*]}"
  local install=(env DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=5 install -qq -y --no-install-recommends)
  # Package lists may be absent or stale; refresh them only when they are.
  "${install[@]}" "${missing[@]}" >/dev/null 2>&1 ||
    { apt-get -o Acquire::Retries=5 update -qq && "${install[@]}" "${missing[@]}" >/dev/null; } ||
    die "cannot install: ${missing[*]}"
}

# is_static FILE: true for an ELF program that needs neither a loader nor shared libraries.
# A static-pie binary has a dynamic section, so its mere presence says nothing.
is_static() {
  readelf -hW "$1" >/dev/null 2>&1 &&
    ! readelf -lW "$1" | grep -q INTERP &&
    ! readelf -dW "$1" | grep -q '(NEEDED)'
}

# load_images: reads out/images/images.env, and insists on all images.
load_images() {
  local name
  # shellcheck source=/dev/null
  [[ ! -e $out/images.env ]] || . "$out/images.env"
  for name in "${names[@]}"; do
    [[ -e $(archive "$name") ]] || die "the $name image is missing; run images/build first."
  done
}

# reference NAME, archive NAME, tag NAME: what images.env says of an image.
reference() { local variable=ATELIER_${1^^}_IMAGE; echo "${!variable:-}"; }
archive() { local variable=ATELIER_${1^^}_ARCHIVE; echo "${!variable:-}"; }
tag() { local reference; reference=$(reference "$1"); echo "${reference##*:}"; }
