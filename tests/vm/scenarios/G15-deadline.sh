# A verification outlasts the deadline: refused for now; the work goes on, and the next try is answered from it.
# guests: trixie
# control-in: ready
guarded() {
  accept_policy '[gate]' 'deadline = "1s"'
  lock_database
  ! switch_to "$GOOD" test 2>/dev/null || fail "let through"
  ! ran "$GOOD" || fail "it ran"
  unlock_database
  expect_event answered-by-deadline "NARWARDEN_TOPLEVEL=$GOOD"
  expect_event admitted "NARWARDEN_TOPLEVEL=$GOOD"
  wait_for $LONG switch_to "$GOOD" test
  is_running "$GOOD" || fail "the good generation does not run"
}

# With the deadline that holds unless a policy says otherwise, who waits goes through.
control() {
  local attempt
  lock_database
  "$GOOD/bin/switch-to-configuration" test &>/dev/null &
  attempt=$!
  wait_for $LONG waits_for_answer $attempt
  unlock_database
  wait $attempt || fail "refused"
  no_event answered-by-deadline
  ran "$GOOD" || fail "it did not run"
}
