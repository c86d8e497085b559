# The database of Nix is locked for longer than the daemon waits: nothing that is new is admitted. It recovers.
# guests: trixie
guarded() {
  lock_database
  refused "$GOOD" switch_to "$GOOD" test
  refused "$EVIL" switch_to "$EVIL" test
  must switch_to "$BASE" check
  unlock_database
  wait_for $LONG switch_to "$GOOD" test
  is_running "$GOOD" || fail "the good generation does not run"
}

control() {
  lock_database
  activated "$EVIL" switch_to "$EVIL" check
  unlock_database
}
