# shellcheck shell=bash disable=SC2154,SC2016
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
      if .value.properties and (.key | IN("resources", "affinity") | not) then .value.properties | leaves($name + ".") else $name end;
    .properties | del(.global) | leaves("")' "$chart/values.schema.json")
  return "$missing"
}

# Every property has a description, and an object that names its properties takes no others.
schema_is_complete() {
  nothing jq -r '
    paths(objects) as $at | getpath($at) as $it | ($at | map(tostring) | join(".")) as $name
    | (select($at[-2] == "properties" and ($it | has("description") | not)) | "\($name) is not described"),
      (select(($it.properties | type) == "object" and $it.additionalProperties != false) | "\($name) takes anything")
    ' "$chart/values.schema.json"
}

# The chart's definitions are those of crds/, as sync-crds writes them; done over in a copy.
definitions_are_current() {
  mkdir -p "$work/charts"
  cp "$charts/sync-crds" "$work/charts/"
  "$work/charts/sync-crds" "$repo/crds"
  diff -r "$work/charts/atelier/templates/crds" "$chart/templates/crds"
}

# Names that YAML would take for numbers are names all the same.
names_are_strings() {
  helm template 1e3 "$chart" -n 2024 --kube-version 1.33.0 --set-string priorityClassName=7 >"$work/numbers"
  grep -q 'instance: "1e3"' "$work/numbers"
  grep -q 'namespace: "2024"' "$work/numbers"
  nothing sed -nE '/(namespace|instance|priorityClassName): (2024|1e3|7)$/p' "$work/numbers"
}

replicas_are() { # COUNT OPTIONS...
  local count=$1
  shift
  rendered "$@" | grep -x "  replicas: $count"
}

# Without -q: a grep that ends early would end helm with a signal.
is_spread() { rendered "$@" | grep topologySpreadConstraints; }

is_not_spread() { ! is_spread "$@"; }

brought=(--set "serviceStorage.type=S3,serviceStorage.secretName=own,serviceStorage.s3.bucket=b"
  --set serviceStorage.s3.endpoint=https://s3.example.com)

# What the operator is told of the service's own storage has this in it.
tells_of_storage() { # TEXT OPTIONS...
  local text=$1
  shift
  rendered "$@" | grep -A 1 'name: ATELIER_SERVICE_STORAGE$' | sed 's/\\"/"/g' | grep -F "$text"
}

external=(--set actions.certificates.keeper=External)

# Nothing in the chart lets the operator write the certificates, or whom to trust.
reads_certificates_only() {
  rendered "$@" >"$work/external"
  nothing sed -nE '/atelier-ca$|atelier-client|name: atelier-actions$/p' "$work/external"
  grep -A 1 'name: ATELIER_CERTIFICATES$' "$work/external" | grep -F 'value: external'
}

# The APIService and the webhook say from where.
injects_trust() {
  [[ $(rendered "$@" | grep -c 'cert-manager.io/inject-ca-from: atelier-system/atelier-serving') == 2 ]]
}

nothing_is_taken_for_the_operators() {
  ! rendered | grep 'managed-by: *"\?atelier'
}

render() {
  heading "Rendering"
  check "helm lint --strict" helm lint --strict "$chart"
  check "with the defaults" rendered
  check "with everything set" rendered --set replicas=3,priorityClassName=high \
    --set-string image.tag=1,gateway.image.tag=2,storage.image.tag=3 \
    --set 'locations={local,eu-west}' --set-json 'nodeSelector={"a":"b"},tolerations=[{"operator":"Exists"}]' \
    --set-json 'imagePullSecrets=[{"name":"pull"}],podAnnotations={"a/b":"c"},podLabels={"d":"e"}' \
    --set-json 'affinity={"nodeAffinity":{}}' --set image.pullPolicy=Always,workloads.pullPolicy=Never
  check "two replicas, unless told otherwise" replicas_are 2
  check "spread over nodes" is_spread
  check "with a budget" has_kind PodDisruptionBudget
  check "a single one has no budget" has_no_kind PodDisruptionBudget --set replicas=1
  check "and is not spread" is_not_spread --set replicas=1
  check "the actions are served" has_kind APIService
  check "actions.enabled=false leaves them out" has_no_kind APIService --set actions.enabled=false
  check "and the webhook" has_no_kind MutatingWebhookConfiguration --set actions.enabled=false
  check "external certificates: the operator may not write any" reads_certificates_only "${external[@]}"
  check "and whoever injects trust finds where" injects_trust "${external[@]}" \
    --set-json 'actions.certificates.annotations={"cert-manager.io/inject-ca-from":"atelier-system/atelier-serving"}'
  check "crds.install=false leaves the definitions out" has_no_kind CustomResourceDefinition --set crds.install=false
  check "cleanup.enabled=false leaves the Job out" has_no_kind Job --set cleanup.enabled=false
  check "the service keeps nothing, unless told to" has_no_kind PersistentVolumeClaim
  check "serviceStorage.type=Embedded brings a volume" has_kind PersistentVolumeClaim --set serviceStorage.type=Embedded
  check "and tells the operator where it is" tells_of_storage '"type":"Embedded"' --set serviceStorage.type=Embedded
  check "a store that is brought is told of, too" tells_of_storage \
    '{"bucket":"b","endpoint":"https://s3.example.com","region":"us-east-1","type":"S3"}' "${brought[@]}"
  refused "an embedded one without certificates" "needs actions.enabled" rendered \
    --set serviceStorage.type=Embedded,actions.enabled=false
  refused "a store without its bucket" "serviceStorage.s3.bucket" rendered "${brought[@]}" --set serviceStorage.s3.bucket=
  refused "a store without its credential" "serviceStorage.secretName" rendered "${brought[@]}" --set serviceStorage.secretName=
  check "no object passes for one of the operator's" nothing_is_taken_for_the_operators
  check "names that look like numbers" names_are_strings
  check "the definitions are those of crds/" definitions_are_current
  check "README.md has every value" values_are_documented
  check "the schema describes every value, and is closed" schema_is_complete
  refused "an unknown value" "additional properties 'replica' not allowed" rendered --set replica=2
  refused "an unknown value below another" "additional properties 'tags' not allowed" rendered --set image.tags=2
  refused "a value of the wrong type" "got string, want integer" rendered --set-string replicas=2
  refused "one of the wrong type below another" "got string, want boolean" rendered --set-string cleanup.enabled=yes
  refused "an unknown value in a list" "additional properties 'effects' not allowed" rendered \
    --set-json 'tolerations=[{"effects":"NoSchedule"}]'
  refused "no location" "minItems" rendered --set-json 'locations=[]'
  refused "a label that the Deployment selects by" "invalid propertyName" rendered \
    --set-string 'podLabels.app\.kubernetes\.io/component=x'
}
