# shellcheck shell=bash
# Fake nodes for the control-plane profile: objects that kwok keeps Ready, and on
# which it reports every Pod as running until somebody deletes it.

start_kwok() {
  new_kubeconfig "$DIR/pki/kwok.kubeconfig" /O=system:masters/CN=kwok
  define_component "$DIR/run" kwok "$BIN/kwok" --kubeconfig "$DIR/pki/kwok.kubeconfig" \
    --config "$cluster_root/conf/kwok-stages.yaml" --manage-nodes-with-annotation-selector kwok.x-k8s.io/node=fake \
    --manage-all-nodes=false --cidr "$POD_CIDR" --node-ip "$HOST_IP" --server-address "$HOST_IP:$KWOK_PORT" \
    --node-lease-duration-seconds 40
  start_local kwok
}

make_fake_nodes() {
  local n
  ((NODES > 0)) || return 0
  for ((n = 1; n <= NODES; n++)); do
    sed "s/@NODE@/node-$n/g" "$cluster_root/conf/fake-node.yaml"
  done | kube create --filename - >/dev/null
}
