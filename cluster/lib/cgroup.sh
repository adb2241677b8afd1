# shellcheck shell=bash
# The control groups of a node cluster: in every hierarchy one folder, named like
# the cluster's bridge, with one for each node, under which the kubelet makes the
# rest. Works with hierarchies of version 1 and 2, and with a mixture.

control_group_mounts() { awk '$3 == "cgroup" || $3 == "cgroup2" {print $2, $3}' /proc/mounts; }

make_control_groups() { # N
  local mountpoint type folder controller
  while read -r mountpoint type; do
    mkdir -p "$mountpoint/$LINK/node-$1"
    [[ $type == cgroup2 ]] || continue
    # In version 2 a group has the controllers its parent hands down.
    for folder in "$mountpoint" "$mountpoint/$LINK"; do
      for controller in $(<"$folder/cgroup.controllers"); do
        printf '+%s\n' "$controller" >"$folder/cgroup.subtree_control"
      done
    done
  done < <(control_group_mounts)
}

# A group can go as soon as the kernel has buried its last process.
remove_control_groups() {
  local mountpoint
  while read -r mountpoint _; do
    wait_until 30 "the control groups of $LINK" remove_group_tree "$mountpoint/$LINK"
  done < <(control_group_mounts)
}

remove_group_tree() {
  [[ ! -d $1 ]] || find "$1" -depth -type d -exec rmdir {} +
}
