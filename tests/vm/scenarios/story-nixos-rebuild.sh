# nixos-rebuild: profile first, then systemd-run; switch, test, a specialisation, a rollback.
# guests: trixie

guarded() {
  # The one that nobody signed gets into the profile, and no further.
  set_profile "$EVIL"
  refused "$EVIL" unit_switch "$EVIL"
  wait_for $LONG quarantined "$EVIL"
  wait_for $LONG profile_leads_to "$BASE"
  is_running "$BASE" || fail "$(readlink /run/current-system) runs"
  # Test sets no profile; nor does a specialisation, which is that of what the profile leads to.
  activated "$GOOD" unit_switch "$GOOD" test
  profile_leads_to "$BASE" || fail "test changed the profile"
  activated "$SPECIAL" deploy "$SPECIAL"
  profile_leads_to "$SPECIAL" || fail "the profile leads to $(readlink -f $SYSTEM)"
  in_menu "$SPECIAL" || fail "no boot entry"
  not in_menu "$EVIL" || fail "the rejected generation has a boot entry"
  activated "$(readlink "$SPECIAL/specialisation/quiet")" unit_switch "$SPECIAL/specialisation/quiet" test
  # --rollback
  NIX_REMOTE=local must nix-env -p $SYSTEM --rollback
  activated "$BASE" unit_switch "$(readlink -f $SYSTEM)"
  is_running "$BASE" || fail "$(readlink /run/current-system) runs"
}

control() {
  activated "$EVIL" deploy "$EVIL"
  is_running "$EVIL" || fail "it does not run"
  profile_leads_to "$EVIL" || fail "it is not in the profile"
  in_menu "$EVIL" || fail "it has no boot entry"
}
