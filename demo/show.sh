# What the demo shows, and checks. Sourced by demo/run.
# shellcheck shell=bash disable=SC1091,SC2154,SC2034

show_workspace() {
  until_true 60 "the workspace is Ready" k wait --for=condition=Ready workspace/digits-team --timeout=1s
  # Runs and models do not wait for it.
  until_true 90 "the workspace's storage works" \
    k wait --for=condition=StorageReady workspace/digits-team --timeout=1s
  k get workspace digits-team -o wide
  say "   its storage: $(k get workspace digits-team -o jsonpath='{.status.storage.endpoint}'), $(
    k get workspace digits-team -o jsonpath='{.status.conditions[?(@.type=="StorageReady")].message}')"
  local identity
  identity=$(k get workspace digits-team -o jsonpath='{.status.identity.serviceAccount}')
  k get serviceaccount "$identity" >/dev/null || fail "the identity $identity exists"
  say "   its identity: $(k get workspace digits-team -o jsonpath='{.status.identity.principal}')"
}

# may WANTED VERB RESOURCE WHO...: asks the API server, and prints the answer as a mark.
may() {
  local wanted=$1 verb=$2 resource=$3 answer
  shift 3
  answer=$(k auth can-i "$verb" "$resource" "$@" 2>/dev/null) || answer=${answer:-no}
  [[ $answer == "$wanted" ]] || fail "can $* $verb $resource: $answer, not $wanted"
  if [[ $answer == yes ]]; then printf ' %-12s' '✓'; else printf ' %-12s' '–'; fi
}

show_roles() {
  until_true 60 "the roles are given" k wait --for=condition=Ready roleassignments --all --timeout=1s
  local owner=(--as lead@example.com)
  local contributor=(--as someone@example.com --as-group data-science)
  local reader=(--as "system:serviceaccount:$namespace:default")
  printf '   %-34s %-12s %-12s %-12s\n' operation Owner Contributor Reader
  local line operation verb resource answers
  while read -r line; do
    IFS='|' read -r operation verb resource answers <<<"$line"
    read -r first second third <<<"$answers"
    printf '   %-34s' "$operation"
    may "$first" "$verb" "$resource" "${owner[@]}"
    may "$second" "$verb" "$resource" "${contributor[@]}"
    may "$third" "$verb" "$resource" "${reader[@]}"
    echo
  done <<'TABLE'
create workspace|create|workspaces.atelier.dev|yes yes no
share workspace|create|roleassignments.atelier.dev|yes no no
create compute|create|computetargets.atelier.dev|yes yes no
run an experiment|create|runs.atelier.dev|yes yes no
view runs|list|runs.atelier.dev|yes yes yes
deploy a web service|create|webservices.atelier.dev|yes yes no
read keys in Secrets|get|secrets|no no no
enter pods|create|pods/exec|no no no
TABLE
}

show_runs() {
  local end=$((SECONDS + 180)) shown='' now most=0 nodes
  while :; do
    now=$(k get runs -o custom-columns=RUN:.metadata.name,STATE:.status.state,POSITION:.status.position,MESSAGE:.status.message)
    nodes=$(k get computetarget cpu -o jsonpath='{.status.currentNodes}')
    if ((nodes > most)); then most=$nodes; fi
    if [[ $now != "$shown" ]]; then
      shown=$now
      printf '   nodes of cpu: %s (busy+idle/max)\n' "$(k get computetarget cpu -o jsonpath='{.status.nodes}')"
      printf '   %s\n' "${now//$'\n'/$'\n   '}"
    fi
    if ! grep -qvE 'RUN|Completed' <<<"$now"; then break; fi
    grep -q Failed <<<"$now" && fail "a run failed"
    ((SECONDS < end)) || fail "all runs are Completed, within 180 s"
    sleep 0.5
  done
  ((most <= 2)) || fail "never more than 2 nodes; there were $most"
  k logs digits-1-logistic-1-0 | tail -n 1 | sed 's/^/   the first one says: /'
  say "   all are Completed; the nodes leave when they have been idle for 15 s …"
  until_true 40 "the nodes have left" bash -c \
    "[[ \$(kubectl -n $namespace get computetarget cpu -o jsonpath='{.status.currentNodes}') == 0 ]]"
  say "   nodes of cpu: 0 → $most → 0"
}

# score [KEY]: sends the request, prints status and answer.
score() {
  local auth=()
  if [[ -n ${1:-} ]]; then auth=(-H "Authorization: Bearer $1"); fi
  curl -s -m 20 -o "$answer" -w '%{http_code}' "${way[@]}" "${auth[@]}" -H 'Content-Type: application/json' \
    --data @examples/score.json "$url"
}

# expect STATUS TEXT [KEY]: sends the request and insists on the status.
expect() {
  local got
  got=$(score "${3:-}") || fail "$2: no answer"
  printf '   %-52s %s  %s\n' "$2" "$got" "$(head -c 100 "$answer")"
  [[ $got == "$1" ]] || fail "$2: $got, not $1"
}

key() { k get secret digits-keys -o "jsonpath={.data.$1}" | base64 -d; }

# Sets `port` to a way to the service that kubectl makes, whatever the cluster's network is.
forward_port() {
  local log
  log=$(mktemp)
  k port-forward service/digits :443 >"$log" 2>&1 &
  forward=$!
  trap 'kill "$forward"; rm -f "$answer" "$authorities"' EXIT
  until_true 20 "a way to the service" grep -q '^Forwarding from 127' "$log"
  port=$(sed -nE 's/^Forwarding from 127\.0\.0\.1:([0-9]+).*/\1/p' "$log")
  rm -f "$log"
}

show_scoring() {
  until_true 60 "the service is Ready" k wait --for=condition=Ready webservice/digits --timeout=1s
  k get webservice digits -o wide
  answer=$(mktemp) authorities=$(mktemp)
  trap 'rm -f "$answer" "$authorities"' EXIT
  # Whom to trust, and under which name it is known.
  k get webservice digits -o jsonpath='{.status.tls.caBundle}' >"$authorities"
  url=$(k get webservice digits -o jsonpath='{.status.scoringUri}')
  local host port address
  host=$(cut -d / -f 3 <<<"$url") port=443
  if [[ $own == yes ]]; then
    # The network of our own cluster can be reached from here.
    address=$(k get service digits -o jsonpath='{.spec.clusterIP}')
  else
    address=127.0.0.1
    forward_port
  fi
  way=(--cacert "$authorities" --connect-to "$host:443:$address:$port")
  say "   POST $url, over TLS"
  local old secondary
  old=$(key primary) secondary=$(key secondary)
  expect 401 "no key"
  expect 200 "the primary key" "$old"
  grep -q '"predictions": *\[0\]' "$answer" || fail "the prediction is 0: $(cat "$answer")"
  k patch webservice digits --type merge \
    -p "{\"spec\":{\"auth\":{\"keyGeneration\":{\"primary\":$(($(k get webservice digits -o jsonpath='{.spec.auth.keyGeneration.primary}') + 1))}}}}" >/dev/null
  local begun took
  begun=$(millis)
  until_true 5 "the old key stops working" bash -c \
    "[[ \$(curl -s -m 5 -o /dev/null -w '%{http_code}' ${way[*]} -H 'x-api-key: $old' --data @examples/score.json $url) == 401 ]]"
  took=$(($(millis) - begun))
  say "   the primary key was made anew; the old one was refused after $took ms"
  expect 401 "the old primary key" "$old"
  expect 200 "the secondary key, all the while" "$secondary"
  expect 200 "the new primary key" "$(key primary)"
}

show_repair() {
  local kind before begun took
  for kind in service/digits secret/digits-gateway rolebinding/lead-role; do
    before=$(k get "$kind" -o jsonpath='{.metadata.uid}')
    begun=$(millis)
    k delete "$kind" --wait=false >/dev/null
    until_true 5 "$kind comes back" bash -c \
      "uid=\$(kubectl -n $namespace get $kind -o jsonpath='{.metadata.uid}') && [[ \$uid != $before ]]"
    took=$(($(millis) - begun))
    printf '   %-28s deleted, and back after %4d ms\n' "$kind" "$took"
    ((took <= 2000)) || fail "$kind is back within 2 s"
  done
}

# resident NAMESPACE SELECTOR CONTAINER LIMIT: the resident memory of each pod's container, in MiB, as the kernel has it,
# and what of it is its own: the rest is the program, which the replicas of a node have in common.
resident() {
  local ids id pid kib own
  ids=$(kubectl -n "$1" get pods -l "$2" --field-selector status.phase=Running \
    -o jsonpath="{.items[*].status.containerStatuses[?(@.name=='$3')].containerID}")
  [[ -n $ids ]] || fail "the $3 runs"
  for id in $ids; do
    pid=$(cluster/cluster exec --name demo -- ctr -n k8s.io tasks list | awk -v id="${id#containerd://}" '$1 == id {print $2}')
    read -r kib own < <(cluster/cluster exec --name demo -- \
      awk '/^VmRSS/ {all = $2} /^RssAnon/ {own = $2} END {print all, own}' "/proc/$pid/status")
    awk -v name="$3, each replica" -v kib="$kib" -v own="$own" -v limit="$4" 'BEGIN {
      printf "   resident %-31s %5.1f MiB (at most %d), its own %4.1f\n", name, kib / 1024, limit, own / 1024
      exit kib > limit * 1024}' ||
      fail "the $3 is resident with at most $4 MiB"
  done
}

show_figures() {
  if [[ $own == no ]]; then
    say "   (on clusters that the demo made)"
    return
  fi
  stat -c '%s %n' "$ATELIER_OPERATOR_ARCHIVE" "$ATELIER_GATEWAY_ARCHIVE" "$ATELIER_STORAGE_ARCHIVE" |
    awk '{n = split($2, path, "/"); printf "   image %-34s %5.1f MB\n", path[n], $1 / 1e6}'
  resident atelier-system app.kubernetes.io/component=operator operator 30
  resident "$namespace" app.kubernetes.io/component=webservice gateway 12
  resident "$namespace" app.kubernetes.io/component=storage storage 64
}
