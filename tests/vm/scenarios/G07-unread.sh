# The daemon is killed while requests of the kernel lie unread: the next one reads them, and nothing else waits.
# control-in: ready
# control-guests: trixie
guarded() {
  local pid reads runs
  pid=$(daemon_pid)
  stop_whole "$pid"
  bash "$EVIL/bin/switch-to-configuration" test &>/dev/null &
  reads=$!
  (exec "$EVIL/bin/switch-to-configuration" test &>/dev/null) &
  runs=$!
  wait_for $LONG waits_for_answer $reads
  wait_for $LONG waits_for_answer $runs
  kill_daemon "$pid"
  cp /bin/true /root/another
  /root/another || fail "another program cannot be run"
  end_refused $reads "$EVIL"
  end_refused $runs "$EVIL"
  next_daemon "$pid"
  expect_event denied "NARWARDEN_TOPLEVEL=$EVIL" NARWARDEN_ACTION=refused
  activated "$GOOD" switch_to "$GOOD" test
}

# Linux 6.1 may never end a process that dies with such requests, and whoever waits for it.
control() {
  local pid reads
  keep_no_descriptors
  pid=$(daemon_pid)
  stop_whole "$pid"
  bash "$EVIL/bin/switch-to-configuration" check &>/dev/null &
  reads=$!
  wait_for $LONG waits_for_answer $reads
  kill_daemon "$pid"
  wait $reads || fail "it was refused"
  ran "$EVIL" || fail "it did not run"
}
