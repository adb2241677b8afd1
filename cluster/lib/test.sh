# shellcheck shell=bash
# What the self-test checks. Every check is a function that says what went wrong
# on its output, which is shown only if it fails.

passed=0 failed=0
cluster() { "$here/cluster" "$@"; }
heading() { printf '\n%s\n' "$1"; }

# check TITLE COMMAND...
check() {
  local title=$1 output outcome result=pass started=${EPOCHREALTIME/./}
  shift
  # A substitution in a condition would switch errexit off inside the check.
  set +e
  output=$(set -e; "$@" 2>&1)
  outcome=$?
  set -e
  ((outcome == 0)) || result=FAIL
  printf '  %s  %5d ms  %s\n' "$result" $(((${EPOCHREALTIME/./} - started) / 1000)) "$title"
  if [[ $result == pass ]]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf '%s\n' "$output" | tail -n 12 | sed 's/^/        /'
  fi
}

summary() {
  printf '\n%d passed, %d failed, %d s\n' "$passed" "$failed" "$SECONDS"
  ((failed == 0))
}

kube() { # CLUSTER ARGUMENTS...
  local name=$1
  shift
  "$bin/kubectl" --kubeconfig "$state_root/$name/kubeconfig" "$@"
}
in_pod() { # CLUSTER POD COMMAND...
  local name=$1 pod=$2
  shift 2
  kube "$name" --namespace app exec "$pod" -- "$@"
}

all_listed_up() { [[ $(cluster list | awk '$4 == "up"' | wc -l) == "$1" ]]; }
version_is() { kube "$1" version | grep "Server Version: $KUBERNETES_VERSION"; }
load_is_skipped() { cluster load --name "$1" "$bin/busybox.tar" 2>&1 | grep 'there already'; }

# A web server on the first node, and a client on the last.
deploy() {
  local last
  last=$(kube "$1" get nodes --output name | tail -n 1)
  sed "s|@LAST@|${last#node/}|" "$here/conf/test-app.yaml" | kube "$1" create --filename -
  kube "$1" --namespace app wait --timeout 60s --for condition=Available deployment/web
  kube "$1" --namespace app wait --timeout 60s --for condition=Ready pod/client
}
privileged_refused() {
  ! kube "$1" --namespace app run bad --image localhost/busybox:v1 --privileged 2>"$ATELIER_STATE/refusal" &&
    grep 'violates PodSecurity "restricted' "$ATELIER_STATE/refusal"
}

service_ip() { kube "$1" --namespace app get service web --output 'jsonpath={.spec.clusterIP}'; }
pod_ip() { kube "$1" --namespace app get pod --selector app=web --output 'jsonpath={.items[0].status.podIP}'; }
says_hello() { grep "hello from $1"; }
host_gets() { timeout 5 busybox wget -q -O- "http://$2:8080/hello" | says_hello app; }
pod_gets() { in_pod "$1" pod/client timeout 5 wget -q -O- "http://$2:8080/hello" | says_hello app; }
name_unknown() {
  not in_pod "$1" pod/client timeout 3 nslookup registry.invalid >"$ATELIER_STATE/answer"
  grep NXDOMAIN "$ATELIER_STATE/answer"
}
pull_fails() {
  kube "$1" run nowhere --image registry.invalid/nothing:v1
  wait_until 10 "the pull to fail" eval "kube $1 get pod nowhere | grep --extended-regexp 'ErrImagePull|ImagePullBackOff'"
}

# A pod writes on a volume and another one reads it; the file lies in a folder of one node.
volume_works() {
  kube "$1" create --filename "$here/conf/test-volume.yaml"
  kube "$1" --namespace app wait --timeout 60s --for 'jsonpath={.status.phase}=Succeeded' pod/writer pod/reader
  [[ $(kube "$1" --namespace app logs pod/reader) == 'written by a pod' ]]
}
volume_files() { # CLUSTER: the raw files of its volumes, wherever they are
  local n
  for n in 1 2; do cluster exec --name "$1" --node $n -- find /var/lib/volumes -type f -exec cat {} +; done
}
volume_is_seen() { volume_files "$1" | grep 'written by a pod'; }
volume_goes() {
  kube "$1" delete --filename "$here/conf/test-volume.yaml"
  wait_until 60 "the volume's removal" no_volume "$1"
}
no_volume() {
  not grep . <<<"$(kube "$1" get persistentvolumes --output name)"
  not grep . <<<"$(for n in 1 2; do cluster exec --name "$1" --node $n -- ls /var/lib/volumes; done)"
}

logs_show() { kube "$1" --namespace app logs pod/client | grep 'client started'; }
port_forward() {
  local forward port
  # Not through a function: the pid of a function's shell is not the command's.
  "$bin/kubectl" --kubeconfig "$state_root/$1/kubeconfig" --namespace app port-forward service/web \
    --address 127.0.0.1 :8080 >"$ATELIER_STATE/forward" 2>&1 &
  forward=$!
  wait_until 10 "the forwarded port" grep Forwarding "$ATELIER_STATE/forward"
  port=$(sed -n 's/.*127.0.0.1:\([0-9]*\) .*/\1/p' "$ATELIER_STATE/forward")
  timeout 5 busybox wget -q -O- "http://127.0.0.1:$port/hello" | says_hello app
  kill "$forward"
}
user_is() {
  local config answer
  config=$(cluster user --name "$1" alice/a --group team:x --group team:y)
  answer=$("$bin/kubectl" --kubeconfig "$config" auth whoami --output 'jsonpath={.status.userInfo.username} {.status.userInfo.groups}')
  echo "$answer"
  [[ $answer == 'alice/a ["team:x","team:y","system:authenticated"]' ]]
}
fake_pods() {
  kube "$1" create job batch --image nothing
  kube "$1" create deployment many --image nothing --replicas 30
  kube "$1" wait --timeout 30s --for condition=Available deployment/many
  kube "$1" wait --timeout 10s --for condition=Ready pod --selector job-name=batch
  sleep 3
  [[ $(kube "$1" get job batch --output 'jsonpath={.status.active}{.status.succeeded}') == 1 ]]
  kube "$1" delete deployment many --cascade=foreground --timeout 30s
}

audit_has_create() {
  grep '"verb":"create"' "$state_root/$1/audit.log" | grep '"name":"client"' | grep 'fieldManager=kubectl-create' |
    grep '"username":"admin"' | grep '"level":"RequestResponse"' | cut -c -200
}
audit_hides_secret() {
  kube "$1" create secret generic hidden --from-literal key=do-not-log-this
  grep '"name":"hidden"' "$state_root/$1/audit.log" | grep '"level":"Metadata"' | cut -c -200
  not grep do-not-log-this "$state_root/$1/audit.log"
}
audit_is_quiet() {
  not grep --extended-regexp '"verb":"(get|list|watch)".*"username":"system:node' "$state_root/$1/audit.log"
  not grep '"resource":"leases","namespace":"kube-node-lease"' "$state_root/$1/audit.log"
}
restart_api() {
  cluster stop --name "$1" kube-apiserver
  not kube "$1" get --raw /readyz
  cluster start --name "$1" kube-apiserver
  wait_until 30 "the API server" kube "$1" get --raw /readyz
}
