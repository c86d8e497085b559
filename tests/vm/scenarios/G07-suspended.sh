# The daemon is suspended by SIGSTOP: who activates waits, systemd kills it, and the next one refuses.
# control-in: ready
guarded() {
  local pid reads
  pid=$(daemon_pid)
  stop_whole "$pid"
  bash "$EVIL/activate" &>/dev/null &
  reads=$!
  wait_for $LONG waits_for_answer $reads
  date >/dev/null || fail "a program that was run before cannot be run"
  wait_for $LONG not test -e "/proc/$pid/exe"
  end_refused $reads "$EVIL"
  next_daemon "$pid"
  refused "$EVIL" bash "$EVIL/activate"
  activated "$GOOD" switch_to "$GOOD" test
}

control() {
  local pid reads
  keep_no_descriptors WatchdogSec=5s
  kill_daemon
  wait_for $LONG daemon_ready
  pid=$(daemon_pid)
  stop_whole "$pid"
  bash "$EVIL/activate" &>/dev/null &
  reads=$!
  wait $reads || fail "it was refused"
  ran "$EVIL" || fail "it did not run"
}
