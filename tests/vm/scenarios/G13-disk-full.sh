# No byte is left on the disk: nothing that is new is admitted; what was admitted runs. It recovers when there is room.
# guests: trixie
guarded() {
  fill
  ! switch_to "$GOOD" test 2>/dev/null || fail "admitted, and it could not be written down"
  ! ran "$GOOD" || fail "it ran"
  ! switch_to "$EVIL" test 2>/dev/null || fail "let through"
  ! ran "$EVIL" || fail "it ran"
  must switch_to "$BASE" check
  rm /var/fill
  wait_for $LONG switch_to "$GOOD" test
  is_running "$GOOD" || fail "the good generation does not run"
  must narwarden log --verify-chain
}
fill() {
  fallocate -l "$(df --output=avail -B1M /var | tail -n 1 | tr -d ' ')M" /var/fill
  dd if=/dev/zero of=/var/fill bs=512 oflag=append conv=notrunc status=none 2>/dev/null || :
  sync
}

control() {
  fill
  "$EVIL/bin/switch-to-configuration" check || fail "it was refused"
}
