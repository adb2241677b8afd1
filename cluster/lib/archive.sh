# shellcheck shell=bash
# Image archives without an image tool: a layer, a config that names its digest,
# and a manifest are all a runtime needs to import one.

# pack_rootfs REFERENCE ROOTFS COMMAND FILE: COMMAND is a JSON array.
pack_rootfs() {
  local reference=$1 rootfs=$2 command=$3 file=$4 work layer
  work=$(mktemp --directory)
  tar_reproducibly "$rootfs" "$work/layer.tar" .
  layer=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
  cat >"$work/config.json" <<EOF
{"architecture":"amd64","os":"linux","config":{"Entrypoint":$command,"Env":["PATH=/bin"]},
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
  pack_rootfs "$reference" "$rootfs" "[\"/bin/$(basename "$binary")\"]" "$file"
  rm -r "$rootfs"
}

# The same content gives the same bytes, hence the same digest: an archive that
# did not change is not imported twice.
tar_reproducibly() {
  local folder=$1 file=$2
  shift 2
  tar --create --file "$file" --directory "$folder" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner "$@"
}
