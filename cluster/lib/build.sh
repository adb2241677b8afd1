# shellcheck shell=bash
# How each binary is made. Every function takes the file to write.

# The first line runs nodes, the second builds and checks images and scripts.
node_packages=(containerd runc containernetworking-plugins iptables nftables conntrack iproute2 openssl util-linux)
image_packages=(buildah skopeo mmdebstrap busybox-static shellcheck)

# install_packages PACKAGE...: only what is missing, so that a machine that has
# everything needs neither root nor a network.
install_packages() {
  local package missing=()
  for package in "$@"; do
    [[ $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
      missing+=("$package")
  done
  if ((${#missing[@]} == 0)); then
    say "packages: all present"
    return
  fi
  if ((EUID != 0)); then
    say "packages: missing, and not root to install them: ${missing[*]}"
    say "          the control-plane profile needs none but openssl and util-linux"
    return
  fi
  say "packages: installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get --quiet --quiet update
  apt-get --quiet --quiet install --yes --no-install-recommends "${missing[@]}" >/dev/null
}

# The Go modules pin versions too; a bump must reach both files.
check_pins() {
  local module version
  while read -r module version; do
    grep --quiet --extended-regexp "^(require )?[[:space:]]*$module $version( |$)" "$cluster_root"/tools/*/go.mod ||
      die "versions.env says $module $version, but no go.mod under tools/ does"
  done <<EOF
k8s.io/kubernetes $KUBERNETES_VERSION
go.etcd.io/etcd/server/v3 $ETCD_VERSION
sigs.k8s.io/kwok $KWOK_VERSION
github.com/coredns/coredns $COREDNS_VERSION
github.com/rancher/local-path-provisioner $LOCAL_PATH_VERSION
EOF
}

# go_build MODULE PACKAGE FILE [LINKER FLAGS]
go_build() {
  local module=$1 package=$2 file=$3 flags=${4:-}
  CGO_ENABLED=0 go build -C "$cluster_root/tools/$module" -trimpath -ldflags "-s -w $flags" -o "$file" "$package"
}

# Without these flags the server reports v0.0.0, and clients that look at the
# version to choose an API take the wrong branch.
kubernetes_flags() {
  local package numbers=${KUBERNETES_VERSION#v}
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    printf -- '-X %s.gitVersion=%s -X %s.gitMajor=%s -X %s.gitMinor=%s -X %s.gitTreeState=clean ' \
      $package "$KUBERNETES_VERSION" $package "${numbers%%.*}" $package "$(cut -d. -f2 <<<"$numbers")" $package
  done
}

build_kubernetes() { go_build kubernetes "k8s.io/kubernetes/cmd/$1" "$2" "$(kubernetes_flags)"; }
build_kwok() {
  go_build kubernetes sigs.k8s.io/kwok/cmd/kwok "$1" "-X sigs.k8s.io/kwok/pkg/consts.Version=${KWOK_VERSION#v}"
}
build_etcd() { go_build etcd . "$1"; }
build_etcdctl() { go_build etcd go.etcd.io/etcd/etcdctl/v3 "$1"; }
build_coredns() { go_build coredns . "$1"; }
build_local-path-provisioner() {
  go_build local-path github.com/rancher/local-path-provisioner "$1" "-X main.VERSION=$LOCAL_PATH_VERSION"
}
build_pause() { go_build pause . "$1"; }

# Helm's module has no replace directives: it can be installed by its version.
build_helm() {
  local folder
  folder=$(mktemp --directory)
  CGO_ENABLED=0 GOBIN=$folder GOFLAGS="${GOFLAGS:-} -trimpath" go install \
    -ldflags "-s -w -X helm.sh/helm/v3/internal/version.version=$HELM_VERSION" \
    "helm.sh/helm/v3/cmd/helm@$HELM_VERSION"
  mv "$folder/helm" "$1"
  rmdir "$folder"
}
