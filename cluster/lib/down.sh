# shellcheck shell=bash
# Removing a cluster, from whatever state it was left in. Everything outside its
# folder is named in cluster.env (link, control groups) or was recorded by the
# process itself, so no step relies on an earlier one having been completed.

# remove_cluster FOLDER: renames it first. A component that is only being started
# by a killed `up` then finds no place for its record, and gives up.
remove_cluster() {
  local dir=$1 gone
  if grep --quiet --no-messages PROFILE=node "$dir/cluster.env"; then require_root; fi
  gone=$state_root/.$(basename "$dir").$$.removing
  mv "$dir" "$gone"
  finish_removal "$gone"
}

finish_removal() {
  local DIR=$1 PROFILE='' LINK='' records
  # shellcheck disable=SC1091 # written by ports.sh
  if [[ -e $DIR/cluster.env ]]; then source "$DIR/cluster.env"; fi

  mapfile -t records < <(process_records "$DIR")
  end_processes KILL "${records[@]}"
  if [[ -n $LINK ]]; then
    remove_network
    remove_control_groups
  fi
  # Mounts live in the namespaces of the nodes and have gone with them.
  rm --recursive --force --one-file-system "$DIR"
}

# Clusters by name, and what a killed `down` left of them.
clusters() { find "$state_root" -mindepth 1 -maxdepth 1 -type d -name '[!.]*' -printf '%f\n' 2>/dev/null | sort; }
unfinished_removals() {
  find "$state_root" -mindepth 1 -maxdepth 1 -type d -name ".${1:-*}.*.removing" 2>/dev/null
}

down() { # NAME
  local name=$1 dir=$state_root/$1 folder found=
  if [[ -d $dir ]]; then
    found=yes
    hold_lock 9 "$dir" 120
    # Whoever held the lock may have removed it.
    if [[ -d $dir && $dir -ef /proc/self/fd/9 ]]; then remove_cluster "$dir"; fi
    exec 9<&-
  fi
  while read -r folder; do
    found=yes
    hold_lock 9 "$folder" 120
    if [[ -d $folder ]]; then finish_removal "$folder"; fi
    exec 9<&-
  done < <(unfinished_removals "$name")
  if [[ $found ]]; then say "$name is removed"; else say "$name does not exist"; fi
}
