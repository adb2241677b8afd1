# shellcheck shell=bash
# etcd, kube-apiserver, kube-controller-manager and kube-scheduler: processes of
# the host, on an address of the cluster's own.

control_plane=(etcd kube-apiserver kube-controller-manager kube-scheduler)

kube() { "$BIN/kubectl" --kubeconfig "$DIR/kubeconfig" "$@" 8<&- 9<&-; }

define_control_plane() {
  local pki=$DIR/pki reconciler=lease
  # A loopback address cannot be an endpoint, and fake Pods call nobody.
  if [[ $PROFILE == control-plane ]]; then reconciler=none; fi

  # Data is gone with the cluster, so waiting for the disk protects nothing.
  define_component "$DIR/run" etcd "$BIN/etcd" \
    --name "$NAME" --data-dir "$DIR/etcd" --unsafe-no-fsync --quota-backend-bytes 4294967296 \
    --listen-client-urls "https://$HOST_IP:$ETCD_PORT" --advertise-client-urls "https://$HOST_IP:$ETCD_PORT" \
    --listen-peer-urls "https://$HOST_IP:$ETCD_PEER_PORT" --initial-advertise-peer-urls "https://$HOST_IP:$ETCD_PEER_PORT" \
    --initial-cluster "$NAME=https://$HOST_IP:$ETCD_PEER_PORT" \
    --cert-file "$pki/etcd.crt" --key-file "$pki/etcd.key" --trusted-ca-file "$pki/etcd-ca.crt" --client-cert-auth \
    --peer-cert-file "$pki/etcd.crt" --peer-key-file "$pki/etcd.key" --peer-trusted-ca-file "$pki/etcd-ca.crt" \
    --peer-client-cert-auth --log-level warn

  # --audit-log-mode=blocking: a test that has seen the response finds the entry.
  # --audit-log-maxsize: a rotation in mid-test would hide the first half.
  # --kubelet-preferred-address-types: node names are in no DNS of the host.
  define_component "$DIR/run" kube-apiserver "$BIN/kube-apiserver" \
    --bind-address "$HOST_IP" --secure-port "$API_PORT" --advertise-address "$HOST_IP" \
    --endpoint-reconciler-type "$reconciler" \
    --etcd-servers "https://$HOST_IP:$ETCD_PORT" --etcd-cafile "$pki/etcd-ca.crt" \
    --etcd-certfile "$pki/etcd-client.crt" --etcd-keyfile "$pki/etcd-client.key" \
    --tls-cert-file "$pki/kube-apiserver.crt" --tls-private-key-file "$pki/kube-apiserver.key" \
    --client-ca-file "$pki/ca.crt" --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
    --service-account-issuer "https://kubernetes.default.svc.$DNS_DOMAIN" \
    --service-account-key-file "$pki/service-account.pub" --service-account-signing-key-file "$pki/service-account.key" \
    --service-cluster-ip-range "$SERVICE_CIDR" --allow-privileged \
    --kubelet-client-certificate "$pki/kubelet-client.crt" --kubelet-client-key "$pki/kubelet-client.key" \
    --kubelet-certificate-authority "$pki/ca.crt" --kubelet-preferred-address-types InternalIP \
    --requestheader-client-ca-file "$pki/front-proxy-ca.crt" --requestheader-allowed-names front-proxy-client \
    --requestheader-extra-headers-prefix X-Remote-Extra- --requestheader-group-headers X-Remote-Group \
    --requestheader-username-headers X-Remote-User --proxy-client-cert-file "$pki/front-proxy-client.crt" \
    --proxy-client-key-file "$pki/front-proxy-client.key" --enable-aggregator-routing \
    --encryption-provider-config "$pki/encryption.yaml" \
    --audit-policy-file "$cluster_root/conf/audit-policy.yaml" --audit-log-path "$DIR/audit.log" \
    --audit-log-mode blocking --audit-log-maxsize 100000

  # The default client limits (20 requests a second) would be what a load test
  # measures; nothing competes with these two here.
  define_component "$DIR/run" kube-controller-manager "$BIN/kube-controller-manager" \
    --kubeconfig "$pki/kube-controller-manager.kubeconfig" \
    --bind-address "$HOST_IP" --secure-port "$CONTROLLER_MANAGER_PORT" --leader-elect=false \
    --kube-api-qps 500 --kube-api-burst 1000 --concurrent-gc-syncs 20 --concurrent-namespace-syncs 20 \
    --use-service-account-credentials --service-account-private-key-file "$pki/service-account.key" \
    --root-ca-file "$pki/ca.crt" --cluster-signing-cert-file "$pki/ca.crt" --cluster-signing-key-file "$pki/ca.key" \
    --cluster-name "$NAME" --client-ca-file "$pki/ca.crt" \
    --requestheader-client-ca-file "$pki/front-proxy-ca.crt"

  define_component "$DIR/run" kube-scheduler "$BIN/kube-scheduler" \
    --kubeconfig "$pki/kube-scheduler.kubeconfig" --bind-address "$HOST_IP" --secure-port "$SCHEDULER_PORT" \
    --leader-elect=false --kube-api-qps 500 --kube-api-burst 1000 --client-ca-file "$pki/ca.crt" \
    --requestheader-client-ca-file "$pki/front-proxy-ca.crt"
}

start_local() { launch "$DIR/logs/$1.log" bash "$DIR/run/$1.sh"; }

start_api() {
  start_local etcd
  start_local kube-apiserver
}

wait_for_api() {
  wait_until 60 "the API server to listen (see $DIR/logs)" port_open
  wait_until 60 "the API server to be ready (see $DIR/logs)" kube get --raw /readyz
}

port_open() { (: <>"/dev/tcp/$HOST_IP/$API_PORT") 2>/dev/null; }

start_controllers() {
  start_local kube-controller-manager
  start_local kube-scheduler
}
