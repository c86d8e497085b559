# A good generation: copied from the cache by its signatures, admitted ahead, switched to, rebooted into.
# guests: trixie
# copy CACHE TOPLEVEL [OPTION]…
copy() {
  nix --extra-experimental-features nix-command copy --from "file://$1" "${@:3}" \
    --option trusted-public-keys "$(</srv/keys/ci.public)" "$2"
}

guarded() {
  must copy /srv/cache "$FRESH"
  set_profile "$FRESH"
  # Nobody has asked yet.
  wait_for $LONG judged "$FRESH" ADMIT
  activated "$FRESH" unit_switch "$FRESH"
  is_running "$FRESH" || fail "$(readlink /run/current-system) runs"
  systemctl show -p Environment demo | grep -q GENERATION=fresh || fail "its unit does not run"
  in_menu "$FRESH" || fail "it has no boot entry"
  reboot_then after_the_reboot
}
after_the_reboot() {
  is_running "$FRESH" || fail "$(readlink /run/current-system) was booted"
  wait_for $LONG daemon_ready
  wait_for $LONG judged "$FRESH" ADMIT
  profile_leads_to "$FRESH" || fail "the profile leads to $(readlink -f $SYSTEM)"
  activated "$BETTER" deploy "$BETTER"
}

# One that nobody signed: Nix refuses to copy it, unless it is told not to look.
control() {
  not copy /srv/unsigned "$EVIL_FRESH" || fail "Nix copied it"
  must copy /srv/unsigned "$EVIL_FRESH" --no-check-sigs
  activated "$EVIL_FRESH" deploy "$EVIL_FRESH"
  reboot_then control_after_the_reboot
}
control_after_the_reboot() { is_running "$EVIL_FRESH" || fail "$(readlink /run/current-system) was booted"; }
