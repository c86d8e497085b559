# colmena: copied without a look at signatures, profile first, then what was copied is run by the session itself.
# guests: trixie

# apply CACHE TOPLEVEL GOAL
apply() {
  must nix copy --extra-experimental-features nix-command --no-check-sigs --from "file://$1" "$2"
  set_profile "$2"
  switch_to "$2" "$3"
}

guarded() {
  refused "$EVIL_FRESH" apply /srv/unsigned "$EVIL_FRESH" switch
  wait_for $LONG quarantined "$EVIL_FRESH"
  wait_for $LONG profile_leads_to "$BASE"
  activated "$FRESH" apply /srv/cache "$FRESH" switch
  is_running "$FRESH" || fail "$(readlink /run/current-system) runs"
  profile_leads_to "$FRESH" || fail "it is not in the profile"
  in_menu "$FRESH" || fail "it has no boot entry"
  not in_menu "$EVIL_FRESH" || fail "the rejected generation has a boot entry"
}

control() {
  activated "$EVIL_FRESH" apply /srv/unsigned "$EVIL_FRESH" switch
  is_running "$EVIL_FRESH" || fail "it does not run"
  in_menu "$EVIL_FRESH" || fail "it has no boot entry"
}
