# shellcheck shell=bash
# What both tests of certificates that somebody else keeps have: a cluster, a team on it, and calls that must not fail.

cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
PATH=$(cluster/build --print-dir):$PATH
name=external-$$ system=atelier-system
work=$(mktemp -d) started=()
finish() {
  ((${#started[@]} == 0)) || kill "${started[@]}" 2>/dev/null || true
  cluster/cluster down --name "$name" >/dev/null
  rm -rf "$work"
}
trap finish EXIT

say() { printf '%4d s  %s\n' "$SECONDS" "$1"; }
die() { echo "external: $1" >&2 && exit 1; }

# until_so SECONDS SENTENCE COMMAND...
until_so() {
  local deadline=$((SECONDS + $1)) sentence=$2
  shift 2
  until "$@"; do
    ((SECONDS < deadline)) || die "not within the time: $sentence"
    sleep 1
  done
}

# A cluster with Atelier, whose actions are off.
cluster_up() {
  tests/setup "$name"
  KUBECONFIG=$(cluster/cluster kubeconfig --name "$name")
  export KUBECONFIG
}

# Turns the actions on, with certificates that somebody else keeps, and waits until they are served.
serve_by_theirs() { # [HELM FLAG]...
  helm upgrade atelier charts/atelier -n "$system" --reuse-values --set actions.enabled=true \
    --set actions.certificates.keeper=External --wait --timeout 120s "$@" >/dev/null
}
available() { kubectl wait --for=condition=Available apiservice/v1alpha1.actions.atelier.dev --timeout 60s >/dev/null; }

# A team with a workspace.
team() {
  kubectl create namespace team >/dev/null
  kubectl label namespace team atelier.dev/resource-group=tests >/dev/null
  kubectl -n team create -f - >/dev/null <<'MANIFEST'
apiVersion: atelier.dev/v1alpha1
kind: Workspace
metadata: {name: team}
spec: {}
MANIFEST
  kubectl -n team wait --for=condition=Ready workspace/team --timeout 60s >/dev/null
}

# A run by way of the webhook, and an action.
works() {
  sed "s/RUN/$1/" <<'MANIFEST' | kubectl -n team create -f - >/dev/null || return 1
apiVersion: atelier.dev/v1alpha1
kind: Run
metadata: {name: RUN}
spec: {experiment: external, computeTarget: none, image: "localhost/none:1", command: ["true"]}
MANIFEST
  [[ $(kubectl -n team get run "$1" -o jsonpath='{.spec.createdBy}') ]] || die "nobody wrote down who created $1"
  target/x86_64-unknown-linux-gnu/debug/kubectl-atelier -n team cancel "$1" >/dev/null
}

# Calls one after the other, from now until `calls_were_answered`, which says how many there were.
calls_begin() {
  before=$(restarts)
  (
    for n in $(seq 1000); do
      [[ -e $work/stop ]] && break
      works "call-$n" || echo "call $n failed" >>"$work/failed"
      echo "$n" >"$work/calls"
    done
  ) &
  caller=$!
}
calls_were_answered() {
  works after || die "the last call failed"
  touch "$work/stop"
  wait "$caller"
  [[ ! -e $work/failed ]] || die "$(cat "$work/failed")"
  [[ $(restarts) == "$before" ]] || die "something was restarted"
  say "$1, $(cat "$work/calls") calls meanwhile, none failed, nothing restarted"
}
restarts() {
  kubectl -n "$system" get pods \
    -o jsonpath='{range .items[*]}{.metadata.name} {.status.containerStatuses[0].restartCount}{"\n"}{end}'
}

# every_replica QUESTION ANSWER: whether all serve by a certificate of which `openssl x509` says so.
every_replica() {
  local pod
  for pod in $(kubectl -n "$system" get pods -l app.kubernetes.io/component=operator -o jsonpath='{.items[*].status.podIP}'); do
    [[ $(openssl s_client -connect "$pod:8443" </dev/null 2>/dev/null | openssl x509 -noout "$1" 2>/dev/null) == *"$2"* ]] ||
      return 1
  done
}
