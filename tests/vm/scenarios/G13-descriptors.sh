# The daemon has no descriptor left: what is asked about is denied, and it recovers when it has.
# guests: trixie
guarded() {
  local pid
  pid=$(daemon_pid)
  prlimit --pid "$pid" --nofile=8:65536
  ! bash "$EVIL/activate" 2>/dev/null || fail "let through"
  ! "$EVIL/bin/switch-to-configuration" test 2>/dev/null || fail "let through"
  ! ran "$EVIL" || fail "it ran"
  prlimit --pid "$pid" --nofile=65536:65536
  expect_event queue-overflow
  refused "$EVIL" switch_to "$EVIL" test
  activated "$GOOD" switch_to "$GOOD" test
}

control() { activated "$EVIL" bash "$EVIL/activate"; }
