# The queue of hints overflows while a rejected generation is put into the profile: it is quarantined all the same.
# guests: trixie
guarded() {
  local pid
  echo 16 >/proc/sys/fs/inotify/max_queued_events
  pid=$(daemon_pid)
  kill_daemon "$pid"
  next_daemon "$pid"
  pid=$(daemon_pid)
  # So that the daemon has seen it.
  ln --version >/dev/null
  stop_whole "$pid"
  put_it_there
  kill -CONT "$pid"
  expect_event quarantined "NARWARDEN_TOPLEVEL=$EVIL"
  wait_for $LONG profile_leads_to "$BASE"
}
put_it_there() {
  local n
  for ((n = 0; n < 100; n++)); do : >"$PROFILES/other-$n"; done
  ln -s "$EVIL" $SYSTEM-2-link
  ln -sfn system-2-link $SYSTEM
}

control() {
  put_it_there
  must switch_to "$GOOD" boot
  in_menu "$EVIL" || fail "no boot entry"
}
