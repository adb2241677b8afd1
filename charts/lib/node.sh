# shellcheck shell=bash disable=SC2154
# Uninstalling for real, with the operator running: the hook's Job needs a cluster that runs containers.

workspace() {
  cat <<'EOF'
{"apiVersion": "atelier.dev/v1alpha1", "kind": "Workspace", "metadata": {"name": "team", "namespace": "team"},
 "spec": {"location": "local"}}
EOF
}

assignment() { # NAME ROLE USER
  cat <<EOF
{"apiVersion": "atelier.dev/v1alpha1", "kind": "RoleAssignment", "metadata": {"name": "$1", "namespace": "team"},
 "spec": {"role": "$2", "principal": {"kind": "User", "name": "$3"}}}
EOF
}

install_images() {
  helm upgrade --install atelier "$chart" -n atelier-system --create-namespace --wait --timeout 120s \
    --set-string "image.repository=${ATELIER_OPERATOR_IMAGE%:*},image.tag=${ATELIER_OPERATOR_IMAGE##*:}" \
    --set-string "gateway.image.repository=${ATELIER_GATEWAY_IMAGE%:*},gateway.image.tag=${ATELIER_GATEWAY_IMAGE##*:}" \
    --set-string "storage.image.repository=${ATELIER_STORAGE_IMAGE%:*},storage.image.tag=${ATELIER_STORAGE_IMAGE##*:}" "$@"
}

# Names of what the hook makes; none of it is to be left.
hook_left_over() {
  kubectl get serviceaccounts,jobs,pods,roles,rolebindings -n atelier-system -o name \
    -l app.kubernetes.io/component=cleanup
  kubectl get clusterroles,clusterrolebindings -o name -l app.kubernetes.io/component=cleanup
}

our_bindings() { kubectl get rolebindings -A --field-selector metadata.name=atelier-workspace-manager -o name; }

has_binding() { kubectl get rolebinding "$1" -n team; }

two_are_ready() {
  [[ $(kubectl get deployment atelier-operator -n atelier-system -o jsonpath='{.status.readyReplicas}') == 2 ]]
}

holder() { kubectl get lease atelier-operator -n atelier-system -o jsonpath='{.spec.holderIdentity}'; }

other_than() { # POD
  kubectl get pods -n atelier-system -l app.kubernetes.io/component=operator -o name | sed 's#^pod/##' | grep -vx "$1"
}

leads_instead_of() { # POD
  local now
  now=$(holder)
  [[ -n $now && $now != "$1" ]]
}

evict() { # POD
  jq -n --arg pod "$1" '{apiVersion: "policy/v1", kind: "Eviction", metadata: {name: $pod, namespace: "atelier-system"}}' |
    kubectl create --raw "/api/v1/namespaces/atelier-system/pods/$1/eviction" -f -
}

uninstall_for_real() {
  [[ -r $repo/out/images/images.env ]] || { echo "charts/test: run images/build first" >&2 && exit 1; }
  # shellcheck source=/dev/null
  source "$repo/out/images/images.env"
  check "takes the operator's image, and the storage's" "$repo/cluster/cluster" load --name "$name" \
    "$ATELIER_OPERATOR_ARCHIVE" "$ATELIER_STORAGE_ARCHIVE"

  heading "Two replicas"
  check "install and become ready" install_images
  check "are two" two_are_ready
  kubectl create namespace team >/dev/null
  kubectl label namespace team atelier.dev/resource-group=research >/dev/null
  workspace | kubectl apply -f - >/dev/null
  assignment lead Owner owner | kubectl apply -f - >/dev/null
  check "make a workspace ready" kubectl wait workspace/team -n team --for=condition=Ready --timeout=60s
  check "give it storage" kubectl wait workspace/team -n team --for=condition=StorageReady --timeout=90s
  check "bind its Owner" eventually 30 kubectl auth can-i create roleassignments.atelier.dev --as=owner -n team
  local leader standby
  leader=$(holder)
  check "one of them leads" kubectl get pod "$leader" -n atelier-system
  standby=$(other_than "$leader")
  # A drain: the budget lets one go at a time.
  check "the leader may be evicted" evict "$leader"
  refused "the eviction of the other meanwhile" "disruption budget" evict "$standby"
  check "the other leads" eventually 5 leads_instead_of "$leader"
  assignment reader Reader reader | kubectl apply -f - >/dev/null
  check "and works" eventually 10 kubectl auth can-i list runs.atelier.dev --as=reader -n team
  check "become two again" eventually 30 two_are_ready

  heading "helm uninstall"
  check "ends by itself" helm uninstall atelier -n atelier-system --wait --timeout 180s
  check "leaves nothing of its hook" nothing hook_left_over
  check "leaves nothing of the release" eventually 30 nothing left_over
  check "leaves the operator no right in the workspace's namespace" nothing our_bindings
  check "keeps the definitions" five_definitions
  check "keeps the workspace" kubectl get workspace team -n team
  check "keeps the Owner's binding" has_binding lead-role
  check "keeps the workspace's keys" kubectl get secret atelier-storage-key -n atelier-system
  check "leaves no finalizer" no_finalizers

  heading "Installed again"
  check "takes over where it ended" install_images
  check "with its rights" eventually 60 has_binding atelier-workspace-manager
  check "and the same Owner" eventually 20 kubectl auth can-i create roleassignments.atelier.dev --as=owner -n team
  check "finds the workspace ready" kubectl wait workspace/team -n team --for=condition=Ready --timeout=60s
  check "and its storage" kubectl wait workspace/team -n team --for=condition=StorageReady --timeout=60s
  assignment later Reader reader | kubectl apply -f - >/dev/null
  check "binds who comes later" eventually 30 kubectl auth can-i list runs.atelier.dev --as=reader -n team
  check "lets the namespace go" kubectl delete namespace team --timeout=90s
}
