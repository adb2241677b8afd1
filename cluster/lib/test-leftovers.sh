# shellcheck shell=bash
# The second half of the self-test: damage, and what `down` must not leave.

links=() namespaces=() records=()

# remember CLUSTER...: what to look for once they are gone.
remember() {
  local name LINK record pid
  for name in "$@"; do
    # shellcheck source=/dev/null
    LINK=$(source "$state_root/$name/cluster.env" && echo "$LINK")
    [[ -z $LINK ]] || links+=("$LINK")
    while read -r record; do
      records+=("$(<"$record")")
      if [[ $record == */init.pid ]] && process_alive "$record"; then
        read -r pid _ <"$record"
        namespaces+=("$(readlink "/proc/$pid/ns/net")" "$(readlink "/proc/$pid/ns/mnt")" "$(readlink "/proc/$pid/ns/pid")")
      fi
    done < <(process_records "$state_root/$name")
  done
}

kill_some() {
  local component pid
  for component in etcd kube-controller-manager; do
    read -r pid _ <"$state_root/$1/run/$component.pid"
    kill -9 "$pid"
  done
  for component in kubelet containerd; do
    read -r pid _ <"$state_root/$1/nodes/node-1/run/$component.pid"
    kill -9 "$pid"
  done
  # The second node loses its process 1, the fourth record is of no process any more.
  read -r pid _ <"$state_root/$1/nodes/node-2/run/init.pid"
  kill -9 "$pid"
  echo "1 1" >"$state_root/$1/run/kube-scheduler.stale.pid"
}

# kill_up NAME FILE: SIGKILL to `up` as soon as FILE appears in the cluster's folder.
kill_up() {
  local up
  # Not through a function: the pid of a function's shell is not the command's.
  "$here/cluster" up --name "$1" &
  up=$!
  wait_until 20 "$2" test -e "$state_root/$1/$2"
  kill -9 $up
  not wait $up
  not test -e "$state_root/$1/ready"
  sleep 0.3 # for what it had started to get going
}

# Checks that find nothing prove something only if they find what is there.
checks_see_clusters() {
  local look outcome
  for look in no_process no_namespace no_mount no_network no_control_group no_file; do
    # As in check(): in a condition errexit would be off.
    set +e
    (set -e; "$look")
    outcome=$?
    set -e
    if ((outcome == 0)); then
      echo "$look sees nothing, with clusters running"
      return 1
    fi
  done
}

no_process() {
  local entry record
  for entry in "${records[@]}"; do
    record=$ATELIER_STATE/record
    echo "$entry" >"$record"
    not process_alive "$record"
  done
  # Helpers outside the nodes end with the process they wait for.
  wait_until 2 "processes that name the state folder" not_mentioned
}
not_mentioned() {
  local file mine=$$
  for file in /proc/[0-9]*/cmdline; do
    [[ $file != "/proc/$mine/cmdline" ]] || continue
    ! tr '\0' ' ' 2>/dev/null <"$file" | grep --fixed-strings "$state_root/" || return 1
  done
}

no_namespace() {
  local namespace
  ((${#namespaces[@]} >= 9))
  find /proc/[0-9]*/ns -type l -printf '%l\n' 2>/dev/null | sort -u >"$ATELIER_STATE/namespaces" || [[ -s $ATELIER_STATE/namespaces ]]
  for namespace in "${namespaces[@]}"; do
    not grep --fixed-strings "$namespace" "$ATELIER_STATE/namespaces"
  done
}

# Quiet, for then a match counts even if the table of a dying process is unreadable.
no_mount() { not grep --quiet --no-messages --fixed-strings "$ATELIER_STATE" /proc/[0-9]*/mountinfo; }

no_network() {
  local link
  for link in "${links[@]}"; do
    not grep --extended-regexp "^ *$link(n[0-9])?:" /proc/net/dev
    not grep --quiet "10.$((128 + ${link#atelier}))\." <(ip route show table all)
  done
}

no_rules() {
  not grep --extended-regexp 'kube-proxy|KUBE-|CNI-' <(nft list ruleset)
}

no_control_group() {
  local link
  for link in "${links[@]}"; do
    [[ -z $(find /sys/fs/cgroup -maxdepth 2 -name "$link") ]]
  done
}

no_file() {
  local folder
  [[ -z $(ls --almost-all "$state_root") ]]
  for folder in /run/netns /var/lib/cni /etc/cni /run/containerd /var/lib/kubelet; do
    [[ ! -e $folder || $folder -ot $state_root/../started ]] || { echo "$folder was touched" && return 1; }
  done
}
