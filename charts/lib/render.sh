# shellcheck shell=bash disable=SC2154
# What needs no cluster.

chart=$charts/atelier

# A helm that was built without its release flags takes every cluster for an ancient one.
rendered() { helm template atelier "$chart" -n atelier-system --kube-version 1.33.0 "$@"; }

kinds() { rendered "$@" | sed -n 's/^kind: //p'; }

has_kind() { # KIND OPTIONS...
  local kind=$1
  shift
  kinds "$@" | grep -qx "$kind"
}

has_no_kind() { ! has_kind "$@"; }

# Every leaf of the schema stands in the table of values.
values_are_documented() {
  local value missing=0
  while read -r value; do
    grep -qF "\`$value\`" "$chart/README.md" || { echo "README.md lacks $value" && missing=1; }
  done < <(jq -r '
    def leaves($at): to_entries[] | ($at + .key) as $name |
      if .value.properties and (.key | IN("resources") | not) then .value.properties | leaves($name + ".") else $name end;
    .properties | del(.global) | leaves("")' "$chart/values.schema.json")
  return "$missing"
}

nothing_is_taken_for_the_operators() {
  ! rendered --set replicas=2 | grep 'managed-by: *"\?atelier'
}

render() {
  heading "Rendering"
  check "helm lint --strict" helm lint --strict "$chart"
  check "with the defaults" rendered
  check "with everything set" rendered --set replicas=2,priorityClassName=high \
    --set-string image.tag=1,gateway.image.tag=2 \
    --set 'locations={local,eu-west}' --set-json 'nodeSelector={"a":"b"},tolerations=[{"operator":"Exists"}]' \
    --set-json 'imagePullSecrets=[{"name":"pull"}],podAnnotations={"a/b":"c"},podLabels={"d":"e"}' \
    --set-json 'affinity={"nodeAffinity":{}}' --set image.pullPolicy=Always,workloads.pullPolicy=Never
  check "a budget for two replicas" has_kind PodDisruptionBudget --set replicas=2
  check "none for one" has_no_kind PodDisruptionBudget
  check "crds.install=false leaves the definitions out" has_no_kind CustomResourceDefinition --set crds.install=false
  check "cleanup.enabled=false leaves the Job out" has_no_kind Job --set cleanup.enabled=false
  check "no object passes for one of the operator's" nothing_is_taken_for_the_operators
  check "README.md has every value" values_are_documented
  refused "an unknown value" "additional properties 'replica' not allowed" rendered --set replica=2
  refused "an unknown value below another" "additional properties 'tags' not allowed" rendered --set image.tags=2
  refused "a value of the wrong type" "got string, want integer" rendered --set-string replicas=2
  refused "no location" "minItems" rendered --set-json 'locations=[]'
  refused "a label that the Deployment selects by" "invalid propertyName" rendered \
    --set-string 'podLabels.app\.kubernetes\.io/component=x'
}
