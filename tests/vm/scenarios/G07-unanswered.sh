# The daemon is killed when it has read a request, and before it answers: the next one denies what it cannot see.
# control-in: ready
guarded() {
  local pid reads
  pid=$(daemon_pid)
  lock_database
  bash "$EVIL/activate" &>/dev/null &
  reads=$!
  wait_for $LONG waits_for_answer $reads
  wait_for $LONG has_open "$pid" "$EVIL/activate"
  kill_daemon "$pid"
  cp /bin/true /root/another
  /root/another || fail "another program cannot be run"
  end_refused $reads "$EVIL"
  expect_event held-orphan-denied NARWARDEN_COUNT=1
  unlock_database
  next_daemon "$pid"
  refused "$EVIL" bash "$EVIL/activate"
  activated "$GOOD" switch_to "$GOOD" test
}

control() {
  local pid reads
  keep_no_descriptors
  pid=$(daemon_pid)
  lock_database
  bash "$EVIL/activate" &>/dev/null &
  reads=$!
  wait_for $LONG waits_for_answer $reads
  wait_for $LONG has_open "$pid" "$EVIL/activate"
  kill_daemon "$pid"
  wait $reads || fail "it was refused"
  ran "$EVIL" || fail "it did not run"
}
