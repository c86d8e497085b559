# journald and its sockets are gone: nothing that is new is admitted; what was admitted runs. It recovers.
# guests: trixie
readonly JOURNALD=(systemd-journald.service systemd-journald.socket systemd-journald-dev-log.socket
  systemd-journald-audit.socket)
stop_journald() {
  systemctl stop "${JOURNALD[@]}" 2>/dev/null || :
  not systemctl is-active --quiet systemd-journald || fail "journald is there"
}
guarded() {
  stop_journald
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
  stop_journald
  activated "$EVIL" switch_to "$EVIL" check
}
