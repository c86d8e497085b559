# A rejected generation is not what the profile leads to: kexec, which reads that alone, does not load it.
# guests: trixie

# What prepare-kexec.service loads.
kexec_loads() { readlink -f $SYSTEM; }
# Profiles of other names have their entries in the boot menu, specialisations too.
other_profile() {
  mkdir -p $PROFILES/system-profiles
  set_profile "$1" $PROFILES/system-profiles/comin
}

guarded() {
  set_profile "$EVIL_SPECIAL"
  expect_event quarantined "NARWARDEN_TOPLEVEL=$EVIL_SPECIAL"
  wait_for $LONG profile_leads_to "$BASE"
  same "$(kexec_loads)" "$BASE" || fail "kexec loads $(kexec_loads)"
  # Where a profile has no other generation, nothing is activated as long as it is there.
  other_profile "$EVIL"
  wait_for $LONG judged "$EVIL" DENY
  refused "$EVIL" switch_to "$EVIL" boot
  if switch_to "$GOOD" boot; then
    not in_menu "$EVIL" || fail "the rejected generation has a boot entry"
  fi
  not ran "$EVIL_SPECIAL" || fail "it ran"
  rm -r $PROFILES/system-profiles
  wait_for $LONG deploy_admitted
  not in_menu "$EVIL" || fail "the rejected generation has a boot entry"
  not in_menu "$EVIL_SPECIAL" || fail "the one in quarantine has a boot entry"
  not in_menu "$(readlink -f "$EVIL_SPECIAL/specialisation/quiet")" || fail "its specialisation has a boot entry"
  same "$(kexec_loads)" "$GOOD" || fail "kexec loads $(kexec_loads)"
}
deploy_admitted() { deploy "$GOOD" boot; }

control() {
  set_profile "$EVIL_SPECIAL"
  same "$(kexec_loads)" "$EVIL_SPECIAL" || fail "kexec loads $(kexec_loads)"
  other_profile "$EVIL"
  deploy_admitted
  in_menu "$EVIL" || fail "no boot entry for what is in another profile"
  in_menu "$(readlink -f "$EVIL_SPECIAL/specialisation/quiet")" || fail "no boot entry for a specialisation"
}
