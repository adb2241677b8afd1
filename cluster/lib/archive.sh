# shellcheck shell=bash
# Image archives without an image tool: a layer, a config that names its digest,
# and a manifest are all a runtime needs to import one.

# pack_rootfs REFERENCE ROOTFS START FILE: START is what the config says about
# the command, as in "Cmd": ["/bin/sh"].
pack_rootfs() {
  local reference=$1 rootfs=$2 start=$3 file=$4 work layer
  work=$(mktemp --directory)
  tar_reproducibly "$rootfs" "$work/layer.tar" .
  layer=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
  cat >"$work/config.json" <<EOF
{"architecture":"amd64","os":"linux","config":{$start,"Env":["PATH=/bin"]},
 "rootfs":{"type":"layers","diff_ids":["sha256:$layer"]}}
EOF
  printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]\n' "$reference" >"$work/manifest.json"
  tar_reproducibly "$work" "$file" config.json manifest.json layer.tar
  rm -r "$work"
}

# pack_binary REFERENCE BINARY FILE: an image of one static binary at /bin.
pack_binary() {
  local reference=$1 binary=$2 file=$3 rootfs
  rootfs=$(mktemp --directory)
  chmod 0755 "$rootfs"
  install -D --mode=0755 "$binary" "$rootfs/bin/$(basename "$binary")"
  pack_rootfs "$reference" "$rootfs" "\"Entrypoint\":[\"/bin/$(basename "$binary")\"]" "$file"
  rm -r "$rootfs"
}

# pack_busybox REFERENCE FILE: a shell with the usual tools, for tests.
pack_busybox() {
  local reference=$1 file=$2 rootfs applet
  rootfs=$(mktemp --directory)
  chmod 0755 "$rootfs"
  install -D --mode=0755 "$(command -v busybox)" "$rootfs/bin/busybox"
  for applet in $(busybox --list); do
    [[ $applet == busybox ]] || ln -s busybox "$rootfs/bin/$applet"
  done
  mkdir "$rootfs"/{etc,tmp}
  chmod 1777 "$rootfs/tmp"
  printf 'root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' >"$rootfs/etc/passwd"
  pack_rootfs "$reference" "$rootfs" '"Cmd":["/bin/sh"]' "$file"
  rm -r "$rootfs"
}

# The same content gives the same bytes, hence the same digest: an archive that
# did not change is not imported twice.
tar_reproducibly() {
  local folder=$1 file=$2
  shift 2
  tar --create --file "$file" --directory "$folder" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner "$@"
}
