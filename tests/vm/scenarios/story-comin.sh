# comin: a profile of its own, system-profiles/comin, and the program as a child of its daemon.
# guests: trixie

COMIN=$PROFILES/system-profiles/comin
# comin TOPLEVEL
comin() {
  mkdir -p "${COMIN%/*}"
  set_profile "$1" "$COMIN"
  systemd-run --quiet --pipe --wait --collect --unit=comin bash -c "$1/bin/switch-to-configuration switch; exit \$?"
}

guarded() {
  # Its first generation is the rejected one: the profile leads nowhere then.
  refused "$EVIL" comin "$EVIL"
  wait_for $LONG quarantined "$EVIL"
  wait_for $LONG not test -L "$COMIN"
  activated "$GOOD" comin "$GOOD"
  is_running "$GOOD" || fail "$(readlink /run/current-system) runs"
  profile_leads_to "$GOOD" "$COMIN" || fail "the profile leads to $(readlink -f "$COMIN")"
  in_menu "$GOOD" || fail "no boot entry"
  not in_menu "$EVIL" || fail "the rejected generation has a boot entry"
  # A later one goes back to that.
  refused "$WORSE" comin "$WORSE"
  wait_for $LONG quarantined "$WORSE"
  wait_for $LONG profile_leads_to "$GOOD" "$COMIN"
}

control() {
  activated "$EVIL" comin "$EVIL"
  in_menu "$EVIL" || fail "no boot entry"
  profile_leads_to "$EVIL" "$COMIN" || fail "it is not in the profile"
}
