# shellcheck shell=bash disable=SC2154
# The admission policies, tried out. "team" is open to Atelier, "closed" is not.

bind_as_operator() { kubectl create rolebinding "try-$RANDOM" --as="$operator_user" --dry-run=server "$@"; }

role_as_operator() { # NAME VERBS RESOURCE NAMES-OF-RESOURCES...
  local role=$1 verbs=$2 resource=$3
  shift 3
  kubectl create role "$role" -n team --verb="$verbs" --resource="$resource" "${@/#/--resource-name=}" \
    --as="$operator_user" --dry-run=server
}

change_as_operator() { # NAMESPACE BINDING USER
  kubectl get rolebinding "$2" -n "$1" -o json | jq --arg user "$3" '.subjects[0].name = $user' |
    kubectl replace -f - --as="$operator_user" --dry-run=server
}

delete_as_operator() { # NAMESPACE BINDING
  kubectl delete rolebinding "$2" -n "$1" --as="$operator_user" --dry-run=server
}

assign_as() { # WHO ROLE [KIND NAME]
  kubectl create --as="$1" --dry-run=server -f - <<EOF
{"apiVersion": "atelier.dev/v1alpha1", "kind": "RoleAssignment", "metadata": {"name": "try", "namespace": "team"},
 "spec": {"role": "$2", "principal": {"kind": "${3:-User}", "name": "${4:-dave}"}}}
EOF
}

operator_rolebindings() {
  heading "atelier-operator-rolebindings"
  local itself=atelier-system:atelier-operator
  kubectl create clusterrole empty --verb=get --resource=events --resource-name=none >/dev/null
  kubectl patch clusterrole empty --type=merge -p '{"rules": []}' >/dev/null
  kubectl create role events -n team --verb=create --resource=events.events.k8s.io >/dev/null
  kubectl create rolebinding foreign -n closed --clusterrole=view --user=erin >/dev/null
  kubectl create rolebinding foreign -n team --clusterrole=view --user=erin >/dev/null
  kubectl create rolebinding remade -n team --clusterrole=view --user=erin >/dev/null
  kubectl label rolebinding remade -n team app.kubernetes.io/managed-by=atelier >/dev/null
  kubectl create rolebinding left-over -n closed --clusterrole=atelier-reader --user=erin >/dev/null
  kubectl create role x-gateway -n team --verb=get,list,watch --resource=secrets --resource-name=x-gateway >/dev/null

  # Policies take a moment to be in force.
  check "is in force" eventually 20 refuses_somewhere "$itself"
  refused "in a namespace that is not open" "namespace closed is not open" \
    bind_as_operator -n closed --clusterrole=atelier-workspace-manager --serviceaccount="$itself"
  refused "in the operator's own" "namespace atelier-system is not open" \
    bind_as_operator -n atelier-system --clusterrole=atelier-workspace-manager --serviceaccount="$itself"
  check "itself, in an open one" bind_as_operator -n team --clusterrole=atelier-workspace-manager \
    --serviceaccount="$itself"
  refused "somebody else to its own role" "for nobody else" bind_as_operator -n team \
    --clusterrole=atelier-workspace-manager --serviceaccount=team:default
  refused "itself and somebody else" "for nobody else" bind_as_operator -n team \
    --clusterrole=atelier-workspace-manager --serviceaccount="$itself" --serviceaccount=team:default
  check "a user to Owner" bind_as_operator -n team --clusterrole=atelier-owner --user=dave
  check "a ServiceAccount to Reader" bind_as_operator -n team --clusterrole=atelier-reader --serviceaccount=team:default
  refused "a group of the cluster" "begins with system:" bind_as_operator -n team --clusterrole=atelier-reader \
    --group=system:authenticated
  refused "a user of the cluster" "begins with system:" bind_as_operator -n team --clusterrole=atelier-reader \
    --user=system:anonymous
  refused "cluster-admin (by RBAC already)" "attempting to grant" bind_as_operator -n team \
    --clusterrole=cluster-admin --user=dave
  refused "edit (by RBAC already)" "attempting to grant" bind_as_operator -n team --clusterrole=edit --user=dave
  refused "a foreign Role that RBAC would let pass" "its own roles only, not the Role events" \
    bind_as_operator -n team --role=events --user=dave
  refused "a foreign ClusterRole that RBAC would let pass" "its own roles only, not the ClusterRole empty" \
    bind_as_operator -n team --clusterrole=empty --user=dave
  check "a gateway to the Role of its name" bind_as_operator -n team --role=x-gateway --serviceaccount=team:x-gateway
  refused "another to a gateway's Role" "for nobody else" bind_as_operator -n team --role=x-gateway \
    --serviceaccount=team:default
  refused "changing a binding where it is not open" "is not open" change_as_operator closed left-over mallory
  refused "deleting somebody's binding there" "its own bindings only" delete_as_operator closed foreign
  refused "deleting somebody's in an open one" "its own bindings only" delete_as_operator team foreign
  check "deleting its own that somebody remade" delete_as_operator team remade
  check "deleting its own there" delete_as_operator closed left-over
  refused "in the whole cluster" "cannot create resource" kubectl create clusterrolebinding try \
    --clusterrole=atelier-owner --user=dave --as="$operator_user" --dry-run=server
  check "nobody else is judged" kubectl create rolebinding try -n closed --clusterrole=view --group=system:nodes \
    --dry-run=server
}

refuses_somewhere() { ! bind_as_operator -n closed --clusterrole=atelier-workspace-manager --serviceaccount="$1"; }

operator_roles() {
  heading "atelier-operator-roles"
  check "a gateway's right to its Secret" role_as_operator y-gateway get,list,watch secrets y-gateway
  check "and to its certificate" role_as_operator y-gateway get,list,watch secrets y-gateway y-gateway-tls
  refused "its certificate alone" "the one Secret of its own name" role_as_operator y-gateway get secrets y-gateway-tls
  refused "another's certificate" "the one Secret of its own name" \
    role_as_operator y-gateway get secrets y-gateway x-gateway-tls
  refused "every Secret" "the one Secret of its own name" role_as_operator y-gateway get secrets
  refused "another Secret" "the one Secret of its own name" role_as_operator y-gateway get secrets x-keys
  refused "another verb" "the one Secret of its own name" role_as_operator y-gateway get,delete secrets y-gateway
  refused "another resource" "the one Secret of its own name" role_as_operator y-gateway get pods y-gateway
  refused "another name" "the one Secret of its own name" role_as_operator y get secrets y
  refused "more than it holds (by RBAC already)" "attempting to grant" \
    role_as_operator y-gateway get endpoints y-gateway
}

roleassignment() {
  heading "atelier-roleassignment"
  # Sue may write RoleAssignments but assign no role; Rob may assign one.
  kubectl create role writer -n team --verb=create,update,patch,get --resource=roleassignments.atelier.dev >/dev/null
  kubectl create rolebinding writer -n team --role=writer --user=sue --user=rob >/dev/null
  kubectl create -f - >/dev/null <<'EOF'
{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "readers", "namespace": "team"},
 "rules": [{"apiGroups": ["atelier.dev"], "resources": ["roledefinitions"], "resourceNames": ["Reader"],
            "verbs": ["assign"]}]}
EOF
  kubectl create rolebinding readers -n team --role=readers --user=rob >/dev/null
  kubectl create -f - >/dev/null <<'EOF'
{"apiVersion": "atelier.dev/v1alpha1", "kind": "RoleAssignment", "metadata": {"name": "kept", "namespace": "team"},
 "spec": {"role": "Owner", "principal": {"kind": "User", "name": "dave"}}}
EOF

  local role
  for role in Owner Contributor Reader; do check "an Owner gives $role" assign_as owner "$role"; done
  check "the cluster's administrator gives Owner" assign_as administrator Owner
  refused "a Contributor gives Reader (by RBAC already)" "cannot create resource" assign_as contributor Reader
  refused "a Reader gives Reader (by RBAC already)" "cannot create resource" assign_as reader Reader
  refused "who may write assignments, but assign nothing" "sue may not give the role Reader in namespace team" \
    assign_as sue Reader
  check "who may assign Reader gives Reader" assign_as rob Reader
  refused "who may assign Reader gives Owner" "rob may not give the role Owner" assign_as rob Owner
  check "who may assign nothing labels what is there" kubectl label roleassignment kept -n team x=y --as=sue
  refused "the group system:masters" "begins? with system:" assign_as owner Reader Group system:masters
  refused "the user system:admin" "begins? with system:" assign_as owner Reader User system:admin
  refused "a ServiceAccount by its user name" "begins? with system:" \
    assign_as owner Reader ServiceAccount system:serviceaccount:team:default
  check "refused as well where the definition lacks that rule" holds_without_the_definition
}

# The definition refuses system: names first; without that rule the policy does.
holds_without_the_definition() {
  local definition=$work/definition.json
  kubectl get crd roleassignments.atelier.dev -o json | jq 'del(.metadata.resourceVersion)' >"$definition"
  jq 'del(.. | objects | ."x-kubernetes-validations")' "$definition" | kubectl replace -f - >/dev/null
  eventually 10 policy_refuses
  kubectl replace -f "$definition"
}

policy_refuses() {
  ! assign_as owner Reader Group system:masters 2>"$work/refusal" && grep -q "names that begin with" "$work/refusal"
}

policies() {
  kubectl create clusterrolebinding test-administrator --clusterrole=cluster-admin --user=administrator >/dev/null
  operator_rolebindings
  operator_roles
  roleassignment
  check "no policy has anything to complain about its own types" policies_type_check
}

# The API server checks a policy's expressions once, when it is made, and says nothing where it does not know the kind's
# schema yet. So what is looked at are copies, made now; and beside them one that is wrong, which has to be found.
policies_type_check() {
  kubectl get validatingadmissionpolicies -o json | jq '
      .items |= map({apiVersion, kind, metadata: {name: "copy-of-\(.metadata.name)"}, spec}) |
      .items += [.items[] | select(.metadata.name | endswith("-of-workspaces")) |
        .metadata.name = "wrong" | .spec.validations = [{expression: "object.spec.nowhere == 1"}]]' |
    kubectl create -f - >/dev/null
  eventually 60 nothing policies_unchecked
  policy_warnings >"$work/warnings"
  grep -q "^wrong .*undefined field 'nowhere'" "$work/warnings"
  nothing awk '!/^wrong /' "$work/warnings"
}

policies_unchecked() {
  kubectl get validatingadmissionpolicies -o json |
    jq -r '.items[] | select(.status.observedGeneration != .metadata.generation) | .metadata.name'
}

policy_warnings() {
  kubectl get validatingadmissionpolicies -o json | jq -r '.items[] | .metadata.name as $name |
    .status.typeChecking.expressionWarnings[]? | "\($name) \(.fieldRef): \(.warning | gsub("\n"; " "))"'
}
