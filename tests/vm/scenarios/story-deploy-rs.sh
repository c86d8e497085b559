# deploy-rs: a profile that leads to a wrapper; where that is refused, the one before is there again, and runs.
# guests: trixie

activate_profile() { (cd /tmp && PROFILE=$SYSTEM $SYSTEM/deploy-rs-activate); }
# What deploy-rs does where its activation failed: one generation back, the last one is deleted, the one before runs.
back() {
  local last
  NIX_REMOTE=local must nix-env -p $SYSTEM --rollback
  last=$(NIX_REMOTE=local nix-env -p $SYSTEM --list-generations | awk 'END { print $1 }')
  NIX_REMOTE=local must nix-env -p $SYSTEM --delete-generations "$last"
  activate_profile
}

guarded() {
  set_profile "$WRAPPED_GOOD"
  activated "$GOOD" activate_profile
  is_running "$GOOD" || fail "$(readlink /run/current-system) runs"
  # Whether the profile still leads to the rejected one when it is run, or to the good one again, is a matter of time.
  forget_runs
  set_profile "$WRAPPED_EVIL"
  refused "$WRAPPED_EVIL" "$WRAPPED_EVIL/deploy-rs-activate"
  wait_for $LONG quarantined "$WRAPPED_EVIL"
  wait_for $LONG profile_leads_to "$WRAPPED_GOOD"
  not ran "$EVIL" || fail "$EVIL ran"
  activated "$GOOD" activate_profile
  in_menu "$WRAPPED_GOOD" || fail "no boot entry"
  not in_menu "$WRAPPED_EVIL" || fail "the rejected generation has a boot entry"
}

control() {
  set_profile "$WRAPPED_GOOD"
  activated "$GOOD" activate_profile
  set_profile "$WRAPPED_EVIL"
  activated "$EVIL" activate_profile
  in_menu "$WRAPPED_EVIL" || fail "no boot entry"
  activated "$GOOD" back
}
