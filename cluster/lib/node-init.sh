#!/usr/bin/env bash
# Turns a fresh set of namespaces into a node, and becomes its process 1. Run by
# node.sh under `unshare`; when this process ends the kernel ends everything that
# runs in the node and drops its mounts and its network, whatever state they are in.
# Usage: node-init.sh NODE_DIR BIN_DIR NODE_NAME DNS_IP DNS_DOMAIN
set -euo pipefail

node_dir=$1 bin_dir=$2 node_name=$3 dns_ip=$4 dns_domain=$5

# /proc still is the host's here, hence the pid `down` will look for.
read -r -a stat </proc/self/stat
printf '%s %s\n' "${stat[0]}" "${stat[21]}" >"$node_dir/run/init.pid.new"
mv "$node_dir/run/init.pid.new" "$node_dir/run/init.pid"

printf '%s\n' "$node_name" >/proc/sys/kernel/hostname

# A /run of its own keeps containerd's fixed paths (/run/containerd/s, /run/netns)
# and the xtables lock apart from other nodes, and unix socket paths short.
# --no-mtab: the table of user space mounts lives in the very folder replaced.
mount() { command mount --no-mtab "$@"; }
run=$node_dir/run-fs
mkdir -p "$run"
mount -t tmpfs -o mode=0755 run "$run"
mkdir -p "$run"/{node,bin,host-proc,lock,sysctl}
mount --bind "$node_dir" "$run/node"
mount --bind "$bin_dir" "$run/bin"
mount --bind /proc "$run/host-proc"
mount --move "$run" /run

# The usual paths of a node, kept in its folder.
mount -t tmpfs -o mode=0755 lib /var/lib
for folder in kubelet containerd volumes; do
  mkdir -p "/var/lib/$folder" "/run/node/$folder"
  mount --bind "/run/node/$folder" "/var/lib/$folder"
done
mkdir -p /run/node/log
mount --bind /run/node/log /var/log

# Names are looked up in the cluster alone: an image of a registry that is not
# there fails at once instead of waiting for a name server out of reach.
resolv=$(realpath --canonicalize-missing /etc/resolv.conf)
printf 'nameserver %s\nsearch %s\noptions ndots:5 timeout:1 attempts:1\n' \
  "$dns_ip" "svc.$dns_domain $dns_domain" >/run/resolv.conf
if [[ $resolv == /run/* ]]; then
  mkdir -p "$(dirname "$resolv")"
  cp /run/resolv.conf "$resolv"
else
  mount --bind /run/resolv.conf "$resolv"
fi

mount -t proc proc /proc

# The kubelet insists on these kernel-wide settings. It finds them as it wants
# them, in files, and the host keeps its own.
while read -r setting value; do
  if [[ -e /proc/sys/$setting ]]; then
    printf '%s\n' "$value" >"/run/sysctl/${setting//\//.}"
    mount --bind "/run/sysctl/${setting//\//.}" "/proc/sys/$setting"
  fi
done <<'EOF'
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
EOF

# Volumes that propagate mounts need a shared root; it is shared within the node only.
mount --make-rshared /

ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward

touch /run/node/run/ready
exec env -i /run/bin/pause
