# A signed generation leaves the daemon's unit out, or masks it: it is refused, and the daemon judges on.
# guests: trixie bookworm
# control-in: bare
guarded() {
  local pid toplevel
  pid=$(daemon_pid)
  for toplevel in "$WITHOUT" "$MASKED"; do
    refused "$toplevel" switch_to "$toplevel" test
    expect_event denied "NARWARDEN_TOPLEVEL=$toplevel" NARWARDEN_REASON=agent-removed
    is_running "$BASE" || fail "another generation runs than before"
  done
  # Nor can it be booted.
  set_profile "$MASKED"
  expect_event quarantined "NARWARDEN_TOPLEVEL=$MASKED" NARWARDEN_REASON=agent-removed
  wait_for $LONG profile_leads_to "$BASE"
  same "$(daemon_pid)" "$pid" || fail "it is another process"
  refused "$EVIL" switch_to "$EVIL" test
  # It is about the unit, and not about changing it.
  activated "$WEAKENED" switch_to "$WEAKENED" test
}

# Without the daemon nobody asks for it.
control() {
  local toplevel
  for toplevel in "$WITHOUT" "$MASKED"; do
    activated "$toplevel" switch_to "$toplevel" test
    is_running "$toplevel" || fail "it does not run"
  done
}
