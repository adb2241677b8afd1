# Tools, programs, images, a cluster; then the chart and the manifests. Sourced by demo/run.
# shellcheck shell=bash disable=SC1091,SC2154,SC2034

prepare() {
  if [[ $own == yes ]]; then
    progress "tools of a cluster, built from source" cluster/build
    PATH=$(cluster/build --print-dir):$PATH
    progress "the programs" cargo build --workspace --bins
    progress "images" images/build
    source out/images/images.env
    progress "a cluster" cluster/cluster up --name demo
    KUBECONFIG=$(cluster/cluster kubeconfig --name demo)
    export KUBECONFIG
    progress "images to its node" cluster/cluster load --name demo \
      "$ATELIER_OPERATOR_ARCHIVE" "$ATELIER_GATEWAY_ARCHIVE" "$ATELIER_STORAGE_ARCHIVE" "$ATELIER_SKLEARN_ARCHIVE"
    # The manifests name the image by a tag that stays.
    cluster/cluster exec --name demo -- \
      ctr -n k8s.io images tag --force "$ATELIER_SKLEARN_IMAGE" atelier.dev/sklearn:quickstart >/dev/null
    repository=${ATELIER_OPERATOR_IMAGE%/*}
  else
    command -v kubectl helm curl >/dev/null || fail "kubectl, helm and curl are needed"
    [[ -n ${REGISTRY:-} ]] || fail "REGISTRY says where \`make push REGISTRY=…\` put the images"
    [[ -r out/images/images.env ]] || fail "run \`make push REGISTRY=$REGISTRY\` first"
    source out/images/images.env
    repository=$REGISTRY
    say "   the cluster of KUBECONFIG, and no other: $(kubectl config current-context)"
  fi
}

install_chart() {
  progress "helm upgrade --install atelier charts/atelier" \
    helm upgrade --install atelier charts/atelier -n atelier-system --create-namespace --wait --timeout 120s \
    --set-string "image.repository=$repository/operator,image.tag=${ATELIER_OPERATOR_IMAGE##*:}" \
    --set-string "gateway.image.repository=$repository/gateway,gateway.image.tag=${ATELIER_GATEWAY_IMAGE##*:}" \
    --set-string "storage.image.repository=$repository/storage,storage.image.tag=${ATELIER_STORAGE_IMAGE##*:}"
  kubectl -n atelier-system get pods
}

apply_manifests() {
  if [[ -n $(kubectl get namespace "$namespace" --ignore-not-found -o name) ]]; then
    progress "what an earlier demo left is removed" kubectl delete namespace "$namespace" --timeout=120s
  fi
  if [[ $own == yes ]]; then
    kubectl apply -f "$manifests"
  else
    # Elsewhere the image comes from the registry.
    local copy
    copy=$(mktemp -d)
    cp "$manifests"/*.yaml "$copy"
    sed -i "s#atelier.dev/sklearn:quickstart#$REGISTRY/sklearn:${ATELIER_SKLEARN_IMAGE##*:}#" "$copy"/*.yaml
    kubectl apply -f "$copy"
    rm -r "$copy"
  fi
}
