# shellcheck shell=bash
# Starting and ending components. A process is known by its pid and its start
# time: pids are reused, the pair is not, and names may belong to somebody else.

# define_component RUN NAME COMMAND...: writes the script that runs it. The
# script records itself first and then becomes the component, so there is no
# moment at which a process exists that `down` cannot find. Inside a node the
# pids of the host are seen through /run/host-proc.
define_component() {
  local run=$1 name=$2
  shift 2
  {
    cat <<'EOF'
#!/usr/bin/env bash
set -eu
proc=/proc
if [[ -d /run/host-proc ]]; then proc=/run/host-proc; fi
read -r -a stat <"$proc/self/stat"
record=${BASH_SOURCE[0]%.sh}.pid
printf '%s %s\n' "${stat[0]}" "${stat[21]}" >"$record.new"
mv "$record.new" "$record"
EOF
    printf 'exec env -i HOME=/ PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
    printf ' %q' "$@"
    printf '\n'
  } >"$run/$name.sh"
}

# launch LOG COMMAND...: in a session of its own, without our locks.
launch() {
  local log=$1
  shift
  setsid "$@" </dev/null >>"$log" 2>&1 8<&- 9<&- &
}

# process_alive RECORD: is the very process that wrote it still running? One
# whose last thread has ended, and only waits for its parent, is not.
process_alive() {
  local pid start stat
  read -r pid start 2>/dev/null <"$1" || return 1
  stat=$(cat "/proc/$pid/stat" 2>/dev/null) || return 1
  # The second field is the name, which may hold spaces: count from behind it.
  read -r -a stat <<<"${stat##*) }"
  local state=${stat[0]} threads=${stat[17]}
  [[ ${stat[19]} == "$start" ]] && { [[ $state != Z ]] || ((threads > 1)); }
}

# end_processes SIGNAL RECORD...: signals those still alive and waits for their end.
end_processes() {
  local signal=$1 record pid
  shift
  for record in "$@"; do
    if process_alive "$record"; then
      read -r pid _ <"$record"
      # It may end by itself between the check and the signal.
      kill -s "$signal" "$pid" 2>/dev/null || ! process_alive "$record"
    fi
  done
  for record in "$@"; do
    wait_until 30 "the end of $record" not process_alive "$record"
  done
}

not() { ! "$@"; }

# Records of every process of the cluster in folder $1.
process_records() {
  find "$1" -maxdepth 4 -path '*/run/*.pid' 2>/dev/null
}
