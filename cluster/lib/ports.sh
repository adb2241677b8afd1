# shellcheck shell=bash
# Which addresses and ports a cluster gets. Everything chosen here is written to
# cluster.env before it is used, so that `down` can undo a half-done `up`.

# Every cluster, whatever its state folder, shares this machine's interfaces and
# ports: the choice is made under a lock on a folder that all of them have.
choose_addresses() {
  hold_lock 8 /run 60
  case $PROFILE in
    node) choose_network ;;
    control-plane) choose_loopback_ports ;;
  esac
  derive_addresses
  write_settings
  if [[ $PROFILE == node ]]; then create_bridge; fi
  exec 8<&-
}

taken() { grep --quiet --no-messages --line-regexp "$1" "$state_root"/{,.}*/cluster.env; }

# A node cluster owns one /16, 10.(128+INDEX).0.0: first the nodes, then from
# .64 the Services, from .128 the Pods (a /24 for each node).
choose_network() {
  local net
  for ((INDEX = 1; INDEX < 100; INDEX++)); do
    net=10.$((128 + INDEX)).0.0/16
    if ! taken "INDEX=$INDEX" && [[ ! -e /sys/class/net/atelier$INDEX ]] && ! routed "$net"; then return; fi
  done
  die "no free /16 left between 10.129.0.0 and 10.227.0.0"
}

# routed NET: is any route, other than the default, to a part of it or to more than it?
routed() {
  local routes
  routes=$(ip route show root "$1" && ip route show match "$1")
  awk 'NF && $1 != "default" {found = 1} END {exit !found}' <<<"$routes"
}

# Ten neighbouring ports, below the range the kernel hands out to clients. The
# random start keeps two state folders, which cannot see each other, apart.
choose_loopback_ports() {
  local attempt
  INDEX=
  for ((attempt = 0; attempt < 200; attempt++)); do
    BASE_PORT=$((20000 + RANDOM % 1000 * 10))
    if ! taken "BASE_PORT=$BASE_PORT" && ports_free "$BASE_PORT"; then return; fi
  done
  die "no ten free ports found between 20000 and 30000"
}

# The second column of these tables is the local address, in hexadecimal.
ports_free() {
  local port pattern
  for ((port = $1; port < $1 + 10; port++)); do
    printf -v pattern '^ *[0-9]+: [0-9A-F]+:%04X ' "$port"
    ! grep --quiet --no-messages --extended-regexp "$pattern" /proc/net/tcp /proc/net/tcp6 || return 1
  done
}

derive_addresses() {
  DNS_DOMAIN=cluster.local
  if [[ $PROFILE == node ]]; then
    NET=10.$((128 + INDEX))
    LINK=atelier$INDEX
    HOST_IP=$NET.0.1
    SERVICE_CIDR=$NET.64.0/18 API_SERVICE_IP=$NET.64.1 DNS_IP=$NET.64.10 POD_CIDR=$NET.128.0/17
    # The address is the cluster's own, so the usual ports are always free.
    API_PORT=6443 ETCD_PORT=2379 ETCD_PEER_PORT=2380 CONTROLLER_MANAGER_PORT=10257 SCHEDULER_PORT=10259 KWOK_PORT=
  else
    NET='' LINK='' DNS_IP=''
    HOST_IP=127.0.0.1
    SERVICE_CIDR=10.96.0.0/16 API_SERVICE_IP=10.96.0.1 POD_CIDR=10.244.0.0/16
    API_PORT=$BASE_PORT ETCD_PORT=$((BASE_PORT + 1)) ETCD_PEER_PORT=$((BASE_PORT + 2))
    CONTROLLER_MANAGER_PORT=$((BASE_PORT + 3)) SCHEDULER_PORT=$((BASE_PORT + 4)) KWOK_PORT=$((BASE_PORT + 5))
  fi
  API_URL=https://$HOST_IP:$API_PORT
}

settings=(PROFILE NODES BIN INDEX BASE_PORT NET LINK HOST_IP SERVICE_CIDR API_SERVICE_IP DNS_IP DNS_DOMAIN POD_CIDR
  API_PORT ETCD_PORT ETCD_PEER_PORT CONTROLLER_MANAGER_PORT SCHEDULER_PORT KWOK_PORT API_URL)

write_settings() {
  local setting
  for setting in "${settings[@]}"; do
    printf '%s=%q\n' "$setting" "${!setting:-}"
  done >"$DIR/.cluster.env"
  mv "$DIR/.cluster.env" "$DIR/cluster.env"
}

# Within node N: its address, and the addresses of its Pods.
node_ip() { printf '%s.0.%d\n' "$NET" $((10 + $1)); }
node_pod_cidr() { printf '%s.%d.0/24\n' "$NET" $((128 + $1)); }
