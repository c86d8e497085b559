# A rejected generation in the profile: no boot entry, not after the next good switch, not after a reboot.
guarded() {
  set_profile "$EVIL"
  expect_event quarantined "NARWARDEN_TOPLEVEL=$EVIL"
  quarantined "$EVIL" || fail "its link is not kept"
  wait_for $LONG profile_leads_to "$BASE"
  must deploy "$GOOD"
  is_running "$GOOD" || fail "the good generation does not run"
  in_menu "$GOOD" || fail "the good generation has no boot entry"
  not in_menu "$EVIL" || fail "the rejected generation has a boot entry"
  reboot_then after_the_reboot
}
after_the_reboot() {
  is_running "$GOOD" || fail "$(readlink /run/current-system) was booted"
  wait_for $LONG judged "$GOOD" ADMIT
  quarantined "$EVIL" || fail "its link is not kept"
  must deploy "$BETTER"
  not in_menu "$EVIL" || fail "the rejected generation has a boot entry"
}

control() {
  set_profile "$EVIL"
  must deploy "$GOOD"
  in_menu "$EVIL" || fail "no boot entry"
  echo "$EVIL" >/boot/loader/default
  reboot_then control_after_the_reboot
}
control_after_the_reboot() { is_running "$EVIL" || fail "$(readlink /run/current-system) was booted"; }
