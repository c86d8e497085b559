# nh: test, then the profile, then boot; the first of them ends it.
# guests: trixie

# nh_switch TOPLEVEL
nh_switch() {
  switch_to "$1" test || return
  NIX_REMOTE=local must nix --extra-experimental-features nix-command build --no-link --profile $SYSTEM "$1"
  switch_to "$1" boot
}

guarded() {
  refused "$EVIL" nh_switch "$EVIL"
  profile_leads_to "$BASE" || fail "the profile leads to $(readlink -f $SYSTEM)"
  not in_menu "$EVIL" || fail "the rejected generation has a boot entry"
  activated "$GOOD" nh_switch "$GOOD"
  is_running "$GOOD" || fail "$(readlink /run/current-system) runs"
  profile_leads_to "$GOOD" || fail "the profile leads to $(readlink -f $SYSTEM)"
  in_menu "$GOOD" || fail "no boot entry"
}

control() {
  activated "$EVIL" nh_switch "$EVIL"
  is_running "$EVIL" || fail "it does not run"
  profile_leads_to "$EVIL" || fail "it is not in the profile"
  in_menu "$EVIL" || fail "no boot entry"
}
