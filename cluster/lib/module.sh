# shellcheck shell=bash
# What only some tests need, made from a Go module by whoever is first, and kept in the cache. After common.sh.

# module_folder MODULE@VERSION SUM: prints the folder of a module, if it is the one that was meant.
module_folder() {
  local told
  told=$(cd / && GOFLAGS=-mod=mod go mod download -json "$1") || die "cannot download $1: $told"
  [[ $(sed -n 's/^\t"Sum": "\(.*\)",$/\1/p' <<<"$told") == "$2" ]] || die "$1 is not what it was"
  sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' <<<"$told"
}

# module_copy FOLDER: prints a copy to build in: a module's own replacements hold only where it is the main one.
module_copy() {
  local work
  work=$(mktemp -d)
  cp -r "$1/." "$work"
  chmod -R u+w "$work"
  echo "$work"
}

# kept NAME FUNCTION: prints the path of what the function writes to the path that it is given.
kept() {
  local path=$cache_root/$1 make=$2
  mkdir -p "$cache_root"
  (
    flock 9 # Two clones must not both make it.
    [[ -e $path ]] && exit
    rm -rf "$path.part"
    "$make" "$path.part"
    mv "$path.part" "$path"
  ) 9>"$path.lock"
  echo "$path"
}
