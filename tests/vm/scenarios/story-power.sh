# The power fails at ten moments of two deployments, one of them rejected: rules, receipts and refusals are as before.
# guests: trixie
# bound: 300

readonly KEPT=/var/lib/vm
rules() { ask Status | grep -o '"\(trust\|policy\)":{[^}]*}' | sort; }

# A rejected one, then a good one; in the middle of it the power fails.
deployments() {
  set_profile "$EVIL"
  switch_to "$EVIL" || :
  wait_for $LONG profile_leads_to_another "$EVIL"
  deploy "$GOOD" || :
  deploy "$BETTER" || :
}
profile_leads_to_another() { not profile_leads_to "$1"; }

guarded() {
  rules >$KEPT/rules
  echo 0 >$KEPT/moment
  sync
  moment
}
moment() {
  local moment
  moment=$(($(<$KEPT/moment) + 1))
  echo $moment >$KEPT/moment
  sync
  # From the first link to the last unit.
  power_cut_after $((moment * moment * 200)) after_the_cut
  deployments >/dev/null 2>&1
  # Faster than that: it fails now.
  power_cut_then after_the_cut
}
after_the_cut() {
  wait_for $LONG daemon_ready
  same "$(rules)" "$(<$KEPT/rules)" || fail "the pinned rules are $(rules)"
  must narwarden log --verify-chain
  not in_menu "$EVIL" || fail "the rejected generation has a boot entry"
  refused "$EVIL" switch_to "$EVIL" test
  wait_for $LONG profile_leads_to_another "$EVIL"
  not event state-damaged || fail "state is damaged"
  note "moment $(<$KEPT/moment): boots $(readlink /run/current-system)"
  if (($(<$KEPT/moment) < 10)); then moment; fi
  wait_for $LONG deploy "$GOOD"
  is_running "$GOOD" || fail "the good generation does not run"
}

control() {
  power_cut_after 100000 control_after_the_cut
  set_profile "$EVIL"
  deploy "$EVIL" boot
  sync
  power_cut_then control_after_the_cut
}
control_after_the_cut() { is_running "$EVIL" || fail "$(readlink /run/current-system) was booted"; }
