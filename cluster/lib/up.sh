# shellcheck shell=bash
# Bringing a cluster up.

up() {
  local existing
  DIR=$state_root/$NAME
  require_tools
  # Whoever works on a cluster of this name gets to finish.
  if [[ -d $DIR ]]; then
    hold_lock 9 "$DIR" 120
    exec 9<&-
  fi
  if [[ -d $DIR ]]; then
    if is_up; then
      existing=$(grep --extended-regexp '^(PROFILE|NODES)=' "$DIR/cluster.env")
      [[ $existing == "PROFILE=$PROFILE"$'\n'"NODES=$NODES" ]] ||
        die "$NAME is up already, with ${existing//$'\n'/ }"
      say "$NAME is up already"
      return
    fi
    say "$NAME was left unfinished or has died: removing it first"
    down "$NAME"
  fi

  mkdir -p "$state_root"
  mkdir "$DIR" || die "$NAME is just being created by another command"
  hold_lock 9 "$DIR" 1
  mkdir "$DIR"/{pki,logs,run}
  choose_addresses
  say "$NAME: $PROFILE cluster at $API_URL"
  make_certificates
  say "certificates made"
  define_control_plane
  start_api
  "up_${PROFILE//-/_}"
  touch "$DIR/ready"
  say "$NAME is up: export KUBECONFIG=$DIR/kubeconfig"
}

require_tools() {
  local tool built=(etcd kube-apiserver kube-controller-manager kube-scheduler kubectl) found=(openssl flock setsid)
  case $PROFILE in
    node)
      require_root
      built+=(kubelet kube-proxy pause pause.tar coredns.tar local-path-provisioner.tar busybox.tar)
      found+=(containerd ctr runc nft ip nsenter unshare)
      ;;
    control-plane) built+=(kwok) ;;
  esac
  for tool in "${built[@]}"; do [[ -e $BIN/$tool ]] || die "$tool is not built: run cluster/build first"; done
  for tool in "${found[@]}"; do
    command -v "$tool" >/dev/null || die "$tool is not installed: run cluster/build as root first"
  done
}

# What `up` finished and whose API server still answers.
is_up() { [[ -e $DIR/ready ]] && (load_cluster && kube get --raw /readyz) >/dev/null 2>&1; }

up_node() {
  local n file
  local -A prepared=()
  for ((n = 1; n <= NODES; n++)); do
    prepare_node $n &
    prepared[$n]=$!
  done
  wait_for_api
  say "API server ready"
  start_controllers
  for file in coredns local-path; do
    fill_in 0 "$cluster_root/conf/$file.yaml" | kube create --filename - >/dev/null
  done
  kube create clusterrolebinding "system:node-proxier:kube-proxy" \
    --clusterrole system:node-proxier --user system:kube-proxy >/dev/null
  for ((n = 1; n <= NODES; n++)); do
    wait "${prepared[$n]}" || die "node-$n could not be prepared"
    start_kubelet $n
  done
  wait_until 60 "the nodes to be Ready (see $DIR/nodes/*/log/kubelet.log)" nodes_ready
  say "nodes Ready"
  wait_for_default_account
  wait_until 60 "CoreDNS to be available" kube_condition deployment/coredns Available
  say "CoreDNS available"
  wait_until 60 "the volume provisioner to be available" kube_condition deployment/local-path-provisioner Available
  say "volume provisioner available"
}

up_control_plane() {
  wait_for_api
  say "API server ready"
  start_controllers
  start_kwok
  make_fake_nodes
  wait_until 60 "the fake nodes to be Ready (see $DIR/logs/kwok.log)" nodes_ready
  say "$NODES fake nodes Ready"
  wait_for_default_account
}

nodes_ready() { [[ $(kube get nodes --no-headers | awk '$2 == "Ready"' | wc -l) == "$NODES" ]]; }
kube_condition() {
  [[ $(kube --namespace kube-system get "$1" \
    --output "jsonpath={.status.conditions[?(@.type=='$2')].status}") == True ]]
}

wait_for_default_account() {
  wait_until 60 "the default ServiceAccount" kube --namespace default get serviceaccount default
}
