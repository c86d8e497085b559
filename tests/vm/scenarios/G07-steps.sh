# The daemon is killed at each step of a request: as it reads, looks, writes the verdict down, and answers.
# bound: 400
# control-in: ready
guarded() {
  local step pid reads
  # The system call at which it dies, and at the how manieth. `write` to the group is the answer.
  for step in openat2:1 sendmsg,sendto:1 fdatasync,fsync:1 renameat,rename,renameat2:1 write:2; do
    pid=$(daemon_pid)
    forget_runs
    dies_at "$pid" "$step"
    bash "$EVIL/activate" &>/dev/null &
    reads=$!
    end_refused $reads "$EVIL"
    # At a step that comes after the answer, perhaps.
    wait_for $LONG not test -e "/proc/$pid/exe"
    wait "$tracer" || :
    next_daemon "$pid"
  done
  refused "$EVIL" switch_to "$EVIL" test
  activated "$GOOD" switch_to "$GOOD" test
}
# dies_at PID SYSCALLS:COUNT
dies_at() {
  strace -qq -f -p "$1" -e "trace=${2%:*}" -e "inject=${2%:*}:signal=KILL:when=${2#*:}+" -o /dev/null &>/dev/null &
  tracer=$!
  wait_for $LONG traced "$1"
}
# Each of its threads.
traced() {
  local status text
  for status in "/proc/$1"/task/*/status; do
    # It may be dead already: of what it does when nobody asks.
    text=$(<"$status") 2>/dev/null || return 0
    [[ $text != *TracerPid:?0[!0-9]* ]] || return 1
  done
}

control() {
  local pid reads
  keep_no_descriptors
  pid=$(daemon_pid)
  dies_at "$pid" openat2:1
  bash "$EVIL/activate" &>/dev/null &
  reads=$!
  wait $reads || fail "it was refused"
  ran "$EVIL" || fail "it did not run"
}
