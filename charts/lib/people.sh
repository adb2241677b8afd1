# shellcheck shell=bash disable=SC2154
# The three roles against every kind, asked of the API server's authorizer.

kinds_of_ours=(workspaces roleassignments computetargets runs webservices)

# may WHO VERB RESOURCE: what the table of built-in roles says.
may() {
  local who=$1 verb=$2 kind=$3
  case $who:$verb:$kind in
    nobody:*) echo no ;;
    *:get:* | *:list:* | *:watch:*) echo yes ;;
    reader:*) echo no ;;
    owner:*) echo yes ;;
    contributor:*:roleassignments) echo no ;;
    contributor:*) echo yes ;;
  esac
}

questions_about_kinds() {
  local who kind verb
  for who in owner contributor reader nobody; do
    for kind in "${kinds_of_ours[@]}"; do
      for verb in get list watch create update patch delete deletecollection; do
        echo "$who $verb atelier.dev $kind - - team $(may "$who" "$verb" "$kind")"
      done
    done
    for kind in computetargets webservices; do
      for verb in get update patch; do
        echo "$who $verb atelier.dev $kind scale - team $(may "$who" update "$kind")"
      done
    done
  done
}

# What no role of ours gives, whoever has it.
questions_about_the_rest() {
  local who kind what
  for who in owner contributor reader; do
    for what in "get - secrets" "list - secrets" "create - secrets" "create - pods" "list - pods" "create - pods exec" \
      "create - pods attach" "create - pods portforward" "get - pods log" "update - pods ephemeralcontainers" \
      "create - serviceaccounts token" "create apps deployments" "create rbac.authorization.k8s.io rolebindings" \
      "create rbac.authorization.k8s.io roles" "impersonate - serviceaccounts"; do
      read -r verb group resource sub <<<"$what"
      echo "$who $verb $group $resource ${sub:--} - team no"
    done
    for kind in "${kinds_of_ours[@]}"; do
      echo "$who patch atelier.dev $kind status - team no"
      echo "$who list atelier.dev $kind - - closed no"
    done
    for what in Owner Contributor Reader; do
      echo "$who assign atelier.dev roledefinitions - $what team $([[ $who == owner ]] && echo yes || echo no)"
    done
    echo "$who assign atelier.dev roledefinitions - Custom team no"
  done
}

# One row a role and kind; a "!" follows what is not as it should be.
print_table() {
  awk '
    { kind = $4 ($5 == "-" ? "" : "/" $5); row = $1 " " kind
      if (!(row in cells)) { order[++rows] = row; cells[row] = "" }
      if ($9 == "yes") cells[row] = cells[row] " " $2
      if ($8 != $9) cells[row] = cells[row] " " $2 "!" }
    END { for (i = 1; i <= rows; i++) { split(order[i], part, " ")
      printf "        %-12s %-22s%s\n", part[1], part[2], cells[order[i]] == "" ? " -" : cells[order[i]] } }'
}

# reader gets what a ClusterRole with our label gives, and so do the others.
aggregates() {
  kubectl create clusterrole site-logs --verb=get --resource=pods/log >/dev/null
  kubectl label clusterrole site-logs atelier.dev/aggregate-to-reader=true >/dev/null
  local who
  for who in reader contributor owner; do
    eventually 10 kubectl auth can-i get pods/log --as="$who" -n team
  done
  kubectl delete clusterrole site-logs >/dev/null
  eventually 10 cannot get pods/log --as=owner -n team
}

cannot() { [[ $(kubectl auth can-i "$@" 2>/dev/null) == no ]]; }

target_as() { # WHO NAME
  kubectl create --as="$1" -f - <<EOF
{"apiVersion": "atelier.dev/v1alpha1", "kind": "ComputeTarget", "metadata": {"name": "$2", "namespace": "team"},
 "spec": {"managed": {"nodes": {"max": 2}, "resources": {"cpu": "1", "memory": "1Gi"}}}}
EOF
}

scale_as() { # WHO REPLICAS
  kubectl scale computetarget/cpu --replicas="$2" -n team --as="$1"
}

by_doing() {
  check "a Contributor makes a target" target_as contributor cpu
  check "a Contributor scales it" scale_as contributor 1
  check "a Reader looks at it" kubectl get computetarget cpu -n team --as=reader
  refused "a Reader scales it" 'cannot (patch|get) resource "computetargets/scale"' scale_as reader 2
  refused "a Reader makes one" "cannot create resource" target_as reader gpu
  refused "somebody else looks at it" "cannot get resource" kubectl get computetarget cpu -n team --as=nobody
  check "an Owner deletes it" kubectl delete computetarget cpu -n team --as=owner
}

people() {
  heading "Three roles"
  local who
  for who in owner contributor reader; do
    kubectl create rolebinding "$who" --clusterrole="atelier-$who" --user="$who" -n team >/dev/null
  done
  check "are filled by aggregation" eventually 10 kubectl auth can-i create roleassignments.atelier.dev \
    --as=owner -n team
  questions_about_kinds | ask >"$work/kinds"
  print_table <"$work/kinds"
  check "$(wc -l <"$work/kinds") questions about our kinds" wrong <"$work/kinds"
  questions_about_the_rest | ask >"$work/rest"
  check "$(wc -l <"$work/rest") questions about everything else" wrong <"$work/rest"
  by_doing
  check "what a site adds to Reader, all three get, for as long as it is there" aggregates
}
