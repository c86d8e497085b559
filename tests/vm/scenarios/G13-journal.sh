# journald and its sockets are gone: nothing that is new is admitted; what was admitted runs. It recovers.
# guests: trixie
readonly JOURNALD=(systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket
  systemd-journald-audit.socket)
guarded() {
  systemctl stop "${JOURNALD[@]}" 2>/dev/null
  ! switch_to "$GOOD" test 2>/dev/null || fail "admitted, and it could not be written down"
  ! ran "$GOOD" || fail "it ran"
  ! switch_to "$EVIL" test 2>/dev/null || fail "let through"
  ! ran "$EVIL" || fail "it ran"
  must switch_to "$BASE" check
  must systemctl start systemd-journald.socket systemd-journald-dev-log.socket systemd-journald.service
  wait_for $LONG switch_to "$GOOD" test
  is_running "$GOOD" || fail "the good generation does not run"
  expect_event journal-lost
}

control() {
  systemctl stop "${JOURNALD[@]}" 2>/dev/null
  activated "$EVIL" switch_to "$EVIL" check
}
