# shellcheck shell=bash disable=SC2154
# Installing, upgrading and uninstalling, on a control plane where no container runs.

# No operator runs here: an API group that nobody serves would hold up the deletion of namespaces.
without_actions=(--set actions.enabled=false)

install() {
  heading "A release"
  check "installs on a cluster with nothing" helm install atelier "$chart" -n atelier-system --create-namespace \
    "${without_actions[@]}" --wait --timeout 60s
  kubectl create namespace team >/dev/null
  kubectl create namespace closed >/dev/null
  kubectl label namespace team atelier.dev/resource-group=research >/dev/null
  check "has the definitions established" kubectl wait crd -l app.kubernetes.io/name=atelier \
    --for=condition=Established --timeout=20s
}

# What is left of a release, but the definitions.
left_over() {
  kubectl get serviceaccounts,deployments,jobs,pods,roles,rolebindings,poddisruptionbudgets,leases -A -o name \
    -l app.kubernetes.io/instance=atelier
  kubectl get clusterroles,clusterrolebindings,priorityclasses,validatingadmissionpolicies,validatingadmissionpolicybindings \
    -o name -l app.kubernetes.io/instance=atelier
  helm list -aq -n atelier-system
}

budgets() { kubectl get poddisruptionbudgets -n atelier-system -o name; }

five_definitions() { [[ $(kubectl get crd -o name | grep -c '\.atelier\.dev$') == 5 ]]; }

no_finalizers() {
  nothing kubectl get workspaces,roleassignments,computetargets,runs,webservices -A \
    -o jsonpath='{range .items[?(@.metadata.finalizers)]}{.kind}/{.metadata.name}{"\n"}{end}'
}

release() {
  heading "The release later on"
  check "an upgrade to a single replica" helm upgrade atelier "$chart" -n atelier-system --set replicas=1 \
    "${without_actions[@]}" --wait --timeout 60s
  check "takes the budget away" nothing budgets
  check "and one back to two" helm upgrade atelier "$chart" -n atelier-system --reset-values \
    "${without_actions[@]}" --wait --timeout 60s
  check "brings it back" kubectl get poddisruptionbudget atelier-operator -n atelier-system
  check "does not empty the aggregated roles" kubectl auth can-i create roleassignments.atelier.dev --as=owner -n team
  refused "a second release" "cannot be imported into the current release" helm install another "$chart" -n team \
    "${without_actions[@]}"
  check "uninstalls (without its hook)" helm uninstall atelier -n atelier-system --no-hooks --wait --timeout 60s
  # Garbage collection of pods takes a moment.
  check "leaves nothing but" eventually 30 nothing left_over
  check "  the definitions" five_definitions
  check "  and custom resources" kubectl get roleassignment kept -n team
  check "  without finalizers" no_finalizers
  check "installs again" helm install atelier "$chart" -n atelier-system "${without_actions[@]}" --wait --timeout 60s
  check "people have their roles again" eventually 20 kubectl auth can-i create roleassignments.atelier.dev \
    --as=owner -n team
}
