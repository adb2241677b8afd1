# shellcheck shell=bash
# The network of a node cluster: one bridge, on which the host has the first
# address and each node one more. The host routes the cluster's Services and Pods
# through the nodes, so tests on the host reach both directly. There is no way
# out: nodes and Pods see the cluster and the host, nothing else.

# The name is free: choose_network looked, and holds the lock.
create_bridge() {
  ip link add "$LINK" type bridge
  ip address add "$HOST_IP/24" dev "$LINK"
  ip link set "$LINK" up
}

# attach_node N: a cable between the node and the bridge, and the routes.
attach_node() {
  local n=$1 pid ip other
  pid=$(node_pid "$n")
  ip=$(node_ip "$n")
  ip link add "${LINK}n$n" master "$LINK" type veth peer name eth0 netns "$pid"
  ip link set "${LINK}n$n" up
  {
    echo "address add $ip/24 dev eth0"
    echo "link set eth0 up"
    # Only so that the kernel takes the packet up: kube-proxy rewrites it.
    echo "route add $SERVICE_CIDR via $HOST_IP"
    for ((other = 1; other <= NODES; other++)); do
      ((other == n)) || echo "route add $(node_pod_cidr $other) via $(node_ip $other)"
    done
  } | nsenter --target "$pid" --net -- ip -batch -
  ip route add "$(node_pod_cidr "$n")" via "$ip" dev "$LINK"
  ((n > 1)) || ip route add "$SERVICE_CIDR" via "$ip" dev "$LINK"
}

# Routes go with the bridge. A veth would go with its namespace too, but only
# some time after the last process in it.
remove_network() {
  local link
  for link in /sys/class/net/"$LINK"n*; do
    [[ -e $link ]] || continue
    ip link delete "${link##*/}" 2>/dev/null || [[ ! -e $link ]] || die "could not remove ${link##*/}"
  done
  [[ ! -e /sys/class/net/$LINK ]] || ip link delete "$LINK"
}
