# shellcheck shell=bash
# Nodes. Each is a set of namespaces (mounts, network, pids, IPC, host name) in
# which containerd, kubelet and kube-proxy run as they would on a machine.

node_components=(containerd kubelet kube-proxy)

node_dir() { printf '%s/nodes/node-%d\n' "$DIR" "$1"; }
node_pid() {
  local pid record
  record=$(node_dir "$1")/run/init.pid
  process_alive "$record" || die "node-$1 of cluster $NAME is not running"
  read -r pid _ <"$record"
  echo "$pid"
}

# in_node N COMMAND...
in_node() {
  local pid
  pid=$(node_pid "$1")
  shift
  nsenter --target "$pid" --mount --net --pid --ipc --uts -- "$@" 8<&- 9<&-
}

start_in_node() { # N COMPONENT
  local pid
  pid=$(node_pid "$1")
  launch "$(node_dir "$1")/log/$2.log" nsenter --target "$pid" --mount --net --pid --ipc --uts -- \
    bash "/run/node/run/$2.sh"
}

# prepare_node N: namespaces, network, and a containerd with our images.
prepare_node() {
  local n=$1 dir
  dir=$(node_dir "$n")
  mkdir -p "$dir"/{run,log,cni,certs.d}
  make_node_certificates "$n"
  make_control_groups "$n"
  write_node_files "$n"
  define_component "$dir/run" containerd containerd --config /run/node/containerd.toml
  define_component "$dir/run" kubelet /run/bin/kubelet --config /run/node/kubelet.yaml \
    --kubeconfig /run/node/kubelet.kubeconfig --hostname-override "node-$n" --node-ip "$(node_ip "$n")" \
    --root-dir /var/lib/kubelet
  define_component "$dir/run" kube-proxy /run/bin/kube-proxy --config /run/node/kube-proxy.yaml

  launch "$dir/log/init.log" unshare --mount --net --pid --ipc --uts --fork -- \
    bash "$cluster_root/lib/node-init.sh" "$dir" "$BIN" "node-$n" "$DNS_IP" "$DNS_DOMAIN"
  wait_until 20 "the namespaces of node-$n (see $dir/log/init.log)" test -e "$dir/run/ready"
  attach_node "$n"
  start_in_node "$n" containerd
  wait_until 30 "containerd of node-$n (see $dir/log/containerd.log)" in_node "$n" ctr version
  import_archive "$n" "$BIN/pause.tar"
  import_archive "$n" "$BIN/coredns.tar"
  import_archive "$n" "$BIN/local-path-provisioner.tar"
  import_archive "$n" "$BIN/busybox.tar" # what makes and removes a volume's folder
}

start_kubelet() { # N
  start_in_node "$1" kubelet
  start_in_node "$1" kube-proxy
}

write_node_files() {
  local n=$1 dir
  dir=$(node_dir "$n")
  fill_in "$n" "$cluster_root/conf/containerd.toml" >"$dir/containerd.toml"
  fill_in "$n" "$cluster_root/conf/cni.conflist" >"$dir/cni/10-atelier.conflist"
  fill_in "$n" "$cluster_root/conf/kubelet.yaml" >"$dir/kubelet.yaml"
  fill_in "$n" "$cluster_root/conf/kube-proxy.yaml" >"$dir/kube-proxy.yaml"
}

# fill_in N FILE: the templates of conf/ name values as @NAME@.
fill_in() {
  sed -e "s|@NODE@|node-$1|g" -e "s|@NODE_POD_CIDR@|$(node_pod_cidr "$1")|g" -e "s|@POD_CIDR@|$POD_CIDR|g" \
    -e "s|@CGROUP@|/$LINK/node-$1|g" -e "s|@DNS_IP@|$DNS_IP|g" -e "s|@DNS_DOMAIN@|$DNS_DOMAIN|g" \
    -e "s|@PAUSE_IMAGE@|localhost/pause:$PAUSE_VERSION|g" -e "s|@COREDNS_IMAGE@|localhost/coredns:$COREDNS_VERSION|g" \
    -e "s|@LOCAL_PATH_IMAGE@|localhost/local-path-provisioner:$LOCAL_PATH_VERSION|g" \
    -e "s|@BUSYBOX_IMAGE@|localhost/busybox:$BUSYBOX_VERSION|g" "$2"
}

# import_archive N FILE: once per content, since unpacking large images is slow.
import_archive() {
  local n=$1 file=$2 digest imported
  imported=$(node_dir "$n")/imported
  digest=$(sha256sum "$file" | cut -d' ' -f1)
  if grep --quiet --no-messages "$digest" "$imported"; then
    say "node-$n: $(basename "$file") is there already"
    return
  fi
  # The archive comes through stdin: its path may not exist inside the node.
  in_node "$n" ctr --namespace k8s.io images import - <"$file" >/dev/null ||
    die "node-$n could not import $file"
  printf '%s %s\n' "$digest" "$file" >>"$imported"
  say "node-$n: imported $(basename "$file")"
}
