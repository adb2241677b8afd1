# shellcheck shell=bash disable=SC2154,SC2016
# What the operator may do, in the cluster and in a workspace's namespace.

operator_user=system:serviceaccount:atelier-system:atelier-operator
cleanup_user=system:serviceaccount:atelier-system:atelier-cleanup

# "verb group resource subresource name namespace expected"; "-" is empty, and as a namespace means all.
questions_about_the_operator() {
  local line
  while read -r line; do
    [[ -z $line || $line == \#* ]] || echo "$operator_user $line"
  done <<'TABLE'
# everywhere
list atelier.dev workspaces - - - yes
watch atelier.dev runs - - - yes
patch atelier.dev runs status - - yes
update atelier.dev runs - - - no
patch atelier.dev runs - - - no
delete atelier.dev runs - - - no
create atelier.dev roleassignments - - - no
assign atelier.dev roledefinitions - Owner - no
list - namespaces - - - yes
patch - namespaces - - - no
create rbac.authorization.k8s.io rolebindings - - - yes
create rbac.authorization.k8s.io clusterrolebindings - - - no
bind rbac.authorization.k8s.io clusterroles - atelier-owner - yes
bind rbac.authorization.k8s.io clusterroles - atelier-contributor - yes
bind rbac.authorization.k8s.io clusterroles - atelier-reader - yes
bind rbac.authorization.k8s.io clusterroles - atelier-workspace-manager - yes
bind rbac.authorization.k8s.io clusterroles - atelier-identity - yes
bind rbac.authorization.k8s.io clusterroles - atelier-identity-storage - yes
bind rbac.authorization.k8s.io clusterroles - atelier-regional - yes
bind rbac.authorization.k8s.io clusterroles - atelier-regional-computetargets - no
bind rbac.authorization.k8s.io clusterroles - atelier-operator - no
bind rbac.authorization.k8s.io clusterroles - cluster-admin - no
bind rbac.authorization.k8s.io roles - x-gateway - no
escalate rbac.authorization.k8s.io clusterroles - - - no
escalate rbac.authorization.k8s.io roles - - - no
create rbac.authorization.k8s.io roles - - - no
impersonate - users - - - no
impersonate - serviceaccounts - - - no
impersonate - serviceaccounts - aml-local - no
impersonate - serviceaccounts - aml-local team no
create authorization.k8s.io subjectaccessreviews - - - yes
create authentication.k8s.io tokenreviews - - - no
get - secrets - - - no
list - secrets - - - no
list - pods - - - no
create - pods - - - no
list apps deployments - - - no
create - serviceaccounts - - - no
create events.k8s.io events - - - no
create - serviceaccounts token - - no
update admissionregistration.k8s.io validatingadmissionpolicies - - - no
list storage.k8s.io storageclasses - - - yes
watch storage.k8s.io storageclasses - - - yes
create storage.k8s.io storageclasses - - - no
list apiextensions.k8s.io customresourcedefinitions - httproutes.gateway.networking.k8s.io - yes
watch apiextensions.k8s.io customresourcedefinitions - backendtlspolicies.gateway.networking.k8s.io - yes
list apiextensions.k8s.io customresourcedefinitions - - - no
update apiextensions.k8s.io customresourcedefinitions - httproutes.gateway.networking.k8s.io - no
list - configmaps - - - no
# in its own namespace
impersonate - serviceaccounts - aml-local atelier-system yes
impersonate - serviceaccounts - aml-moon atelier-system no
impersonate - serviceaccounts - atelier-operator atelier-system no
impersonate - serviceaccounts - - atelier-system no
create - serviceaccounts - - atelier-system yes
delete - serviceaccounts - aml-local atelier-system yes
delete - serviceaccounts - atelier-operator atelier-system no
update - serviceaccounts - atelier-operator atelier-system no
create - serviceaccounts token aml-local atelier-system no
create - pods - - atelier-system no
list - configmaps - - atelier-system no
create coordination.k8s.io leases - - atelier-system yes
get coordination.k8s.io leases - atelier-operator atelier-system yes
update coordination.k8s.io leases - atelier-operator atelier-system yes
patch coordination.k8s.io leases - atelier-operator atelier-system no
delete coordination.k8s.io leases - atelier-operator atelier-system no
update coordination.k8s.io leases - another atelier-system no
# A standby watches the one lease, by name.
list coordination.k8s.io leases - atelier-operator atelier-system yes
watch coordination.k8s.io leases - atelier-operator atelier-system yes
watch coordination.k8s.io leases - another atelier-system no
list coordination.k8s.io leases - - atelier-system no
watch coordination.k8s.io leases - - atelier-system no
watch coordination.k8s.io leases - atelier-operator team no
get - secrets - - atelier-system no
list - secrets - - atelier-system no
get - secrets - atelier-storage-key atelier-system yes
update - secrets - atelier-storage-key atelier-system no
update - secrets - atelier-storage-rings-0 atelier-system yes
update - secrets - atelier-storage-rings-f atelier-system yes
delete - secrets - atelier-storage-rings-0 atelier-system no
get - secrets - atelier-service-storage atelier-system no
create - pods - - atelier-system no
# in a workspace's namespace
create - secrets - - team yes
watch - secrets - - team yes
delete - secrets - - team yes
create - pods - - team yes
patch - pods - - team yes
update - pods - - team no
create - pods exec - team no
create - pods ephemeralcontainers - team no
create - serviceaccounts - - team yes
create - serviceaccounts token - team no
update - services - - team yes
create - persistentvolumeclaims - - team yes
patch - persistentvolumeclaims - - team yes
update - persistentvolumeclaims - - team no
update apps deployments - - team yes
patch apps deployments scale - team no
update rbac.authorization.k8s.io roles - - team yes
escalate rbac.authorization.k8s.io roles - - team no
create events.k8s.io events - - team yes
list - endpoints - - team no
# For services that are to be reached from outside.
create gateway.networking.k8s.io httproutes - - team yes
update gateway.networking.k8s.io backendtlspolicies - - team yes
create gateway.networking.k8s.io gateways - - team no
list - configmaps - - team yes
# in any other
get - secrets - - closed no
create - pods - - closed no
TABLE
}

questions_about_the_cleanup() {
  local line
  while read -r line; do echo "$cleanup_user $line"; done <<'TABLE'
patch apps deployments scale atelier-operator atelier-system yes
patch apps deployments scale another atelier-system no
patch apps deployments - atelier-operator atelier-system no
list - pods - - atelier-system yes
delete - pods - - atelier-system no
list rbac.authorization.k8s.io rolebindings - - - yes
delete rbac.authorization.k8s.io rolebindings - atelier-workspace-manager team yes
delete rbac.authorization.k8s.io rolebindings - owner team no
create rbac.authorization.k8s.io rolebindings - - team no
get - secrets - - - no
TABLE
}

# Everything that the chart makes, hooks too, as JSON.
objects() { rendered | kubectl create --dry-run=client -o json -f - | jq -s .; }

hooks() { helm get hooks atelier -n atelier-system | kubectl create --dry-run=client -o json -f -; }

# Made for the deletion, and gone after it.
hooks_go_away() {
  hooks | jq -s -e 'length == 6 and all(.[].metadata.annotations;
    ."helm.sh/hook" == "pre-delete" and ."helm.sh/hook-delete-policy" == "before-hook-creation,hook-succeeded")'
}

rules_without() { # JQ-CONDITION
  nothing jq -r '.[] | select(.rules) | .metadata.name as $name | .rules[] | select('"$1"') | "\($name): \(.)"' \
    "$work/objects.json"
}

# The pod of a template, as the API server takes it in a namespace where Pod Security refuses what is not restricted.
is_restricted() { # KIND
  jq -e --arg kind "$1" '.[] | select(.kind == $kind) | .spec.template |
    {apiVersion: "v1", kind: "Pod", metadata: {name: "try"}, spec: (.spec | del(.serviceAccountName, .priorityClassName))}' \
    "$work/objects.json" | kubectl create -n restricted --dry-run=server -f -
}

operator() {
  heading "The operator's rights"
  kubectl create rolebinding atelier-workspace-manager -n team --clusterrole=atelier-workspace-manager \
    --serviceaccount=atelier-system:atelier-operator >/dev/null
  check "kubectl auth can-i get secrets -A: no" cannot get secrets -A --as="$operator_user"
  questions_about_the_operator | ask >"$work/operator"
  check "$(wc -l <"$work/operator") questions" wrong <"$work/operator"
  hooks | jq 'select(.kind != "Job")' | kubectl create -f - >/dev/null
  questions_about_the_cleanup | ask >"$work/cleanup"
  check "$(wc -l <"$work/cleanup") questions about the cleanup's" wrong <"$work/cleanup"
  helm get hooks atelier -n atelier-system | kubectl delete --ignore-not-found -f - >/dev/null

  check "the cleanup's objects are a hook's, and go with it" hooks_go_away

  objects >"$work/objects.json"
  check "no rule has a *" rules_without '[.apiGroups, .resources, .verbs] | flatten | any(. != null and contains("*"))'
  check "no rule lets anybody escalate" rules_without '.verbs | any(. == "escalate")'
  check "impersonate comes with the names of regional identities" rules_without \
    '(.verbs | index("impersonate")) and (.resources != ["serviceaccounts"] or .resourceNames != ["aml-local"])'
  check "bind comes with names" rules_without '(.verbs | index("bind")) and (.resourceNames | length != 7)'

  heading "Pods"
  kubectl create namespace restricted >/dev/null
  kubectl label namespace restricted pod-security.kubernetes.io/enforce=restricted >/dev/null
  eventually 10 kubectl get serviceaccount default -n restricted >/dev/null
  refused "one that is not restricted" "violates PodSecurity" kubectl run try -n restricted --image=a --dry-run=server
  check "the operator's is" is_restricted Deployment
  check "the cleanup's is" is_restricted Job
}
