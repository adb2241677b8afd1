# shellcheck shell=bash
# Keys, certificates and kubeconfigs. EC P-256 throughout: openssl makes one in
# milliseconds, and every Kubernetes component takes them.

new_ca() { # NAME
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 3650 -subj "/CN=$1" \
    -addext "keyUsage=critical,keyCertSign,cRLSign" -keyout "$DIR/pki/$1.key" -out "$DIR/pki/$1.crt" 2>/dev/null
}

# new_cert FILE CA USAGE SUBJECT [SAN]: FILE without its ending, SUBJECT as in /O=group/CN=user.
new_cert() {
  local file=$1 ca=$2 usage=$3 subject=$4 san=${5:-}
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 3650 -subj "$subject" \
    -CA "$DIR/pki/$ca.crt" -CAkey "$DIR/pki/$ca.key" \
    -addext "basicConstraints=critical,CA:FALSE" -addext "keyUsage=critical,digitalSignature" \
    -addext "extendedKeyUsage=$usage" ${san:+-addext "subjectAltName=$san"} \
    -keyout "$file.key" -out "$file.crt" 2>/dev/null || die "openssl could not make $file"
}

# new_kubeconfig FILE SUBJECT: one user, its key inside.
new_kubeconfig() {
  local file=$1 subject=$2 work
  work=$(mktemp --directory "$DIR/pki/.new.XXXXXX")
  new_cert "$work/user" ca clientAuth "$subject"
  (umask 077 && cat >"$file") <<EOF
apiVersion: v1
kind: Config
current-context: $NAME
contexts: [{name: $NAME, context: {cluster: $NAME, user: $NAME}}]
clusters:
- name: $NAME
  cluster:
    server: $API_URL
    certificate-authority-data: $(base64 --wrap=0 "$DIR/pki/ca.crt")
users:
- name: $NAME
  user:
    client-certificate-data: $(base64 --wrap=0 "$work/user.crt")
    client-key-data: $(base64 --wrap=0 "$work/user.key")
EOF
  rm -r "$work"
}

# etcd and the front proxy have authorities of their own: a client certificate
# of the cluster must open neither the database nor an identity header.
make_certificates() {
  local pki=$DIR/pki service=kubernetes.default.svc
  new_ca ca
  new_ca etcd-ca
  new_ca front-proxy-ca
  new_cert "$pki/etcd" etcd-ca serverAuth,clientAuth /CN=etcd "IP:$HOST_IP,IP:127.0.0.1"
  new_cert "$pki/etcd-client" etcd-ca clientAuth /CN=kube-apiserver
  new_cert "$pki/front-proxy-client" front-proxy-ca clientAuth /CN=front-proxy-client
  new_cert "$pki/kube-apiserver" ca serverAuth /CN=kube-apiserver \
    "IP:$HOST_IP,IP:127.0.0.1,IP:$API_SERVICE_IP,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:$service,DNS:$service.$DNS_DOMAIN"
  new_cert "$pki/kubelet-client" ca clientAuth /O=system:masters/CN=kube-apiserver-kubelet-client
  # Secrets are encrypted in etcd, as they should be anywhere.
  (umask 077 && cat >"$pki/encryption.yaml") <<EOF
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - secretbox: {keys: [{name: key, secret: "$(openssl rand -base64 32)"}]}
EOF
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$pki/service-account.key" 2>/dev/null
  openssl pkey -in "$pki/service-account.key" -pubout -out "$pki/service-account.pub"
  new_kubeconfig "$DIR/kubeconfig" /O=system:masters/CN=admin
  new_kubeconfig "$pki/kube-controller-manager.kubeconfig" /CN=system:kube-controller-manager
  new_kubeconfig "$pki/kube-scheduler.kubeconfig" /CN=system:kube-scheduler
}

make_node_certificates() { # N
  local dir=$DIR/nodes/node-$1 ip
  ip=$(node_ip "$1")
  cp "$DIR/pki/ca.crt" "$dir/ca.crt"
  new_cert "$dir/kubelet" ca serverAuth "/O=system:nodes/CN=system:node:node-$1" "IP:$ip,DNS:node-$1"
  new_kubeconfig "$dir/kubelet.kubeconfig" "/O=system:nodes/CN=system:node:node-$1"
  new_kubeconfig "$dir/kube-proxy.kubeconfig" /CN=system:kube-proxy
}

# make_user USER GROUP...: prints the path of its kubeconfig.
make_user() {
  local user=$1 subject='' group file
  shift
  for group in "$@"; do subject+=/O=$(escape_name "$group"); done
  file=$DIR/users/$(tr --complement --delete 'a-zA-Z0-9._-' <<<"${user//[:\/]/_}").kubeconfig
  mkdir -p "$DIR/users"
  new_kubeconfig "$file" "$subject/CN=$(escape_name "$user")"
  echo "$file"
}

# In a subject a slash starts the next part, and a plus joins two.
escape_name() { sed 's/[\\\/+]/\\&/g' <<<"$1"; }
