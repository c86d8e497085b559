# The daemon is killed at each step of a request: as it reads, looks, writes the verdict down, and answers.
# bound: 400
guarded() {
  local step pid tracer reads
  # The system call at which it dies, and at the how manieth. `write` to the group is the answer.
  for step in openat2:1 sendmsg:1 sendto:1 fdatasync:1 fsync:1 renameat:1 write:1 write:2; do
    pid=$(daemon_pid)
    forget_runs
    strace -qq -f -p "$pid" -e "trace=${step%:*}" -e "inject=${step%:*}:signal=KILL:when=${step#*:}+" \
      -o /dev/null &>/run/vm/strace.log &
    tracer=$!
    wait_for $LONG traced "$pid"
    bash "$EVIL/activate" &>/dev/null &
    reads=$!
    end_refused $reads "$EVIL"
    if kill -0 "$pid" 2>/dev/null; then
      note "$step: it lives"
      kill_daemon "$pid"
    else
      note "$step: it died"
    fi
    wait $tracer || :
    next_daemon "$pid"
  done
  refused "$EVIL" switch_to "$EVIL" test
  activated "$GOOD" switch_to "$GOOD" test
}
# Each of its threads.
traced() {
  local status
  for status in "/proc/$1"/task/*/status; do
    ! grep -q '^TracerPid:[[:space:]]*0$' "$status" || return 1
  done
}
