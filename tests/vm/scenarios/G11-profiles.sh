# Profiles that flip, whose directory is replaced, whose links dangle.
# guests: trixie

# flip FIRST SECOND: a thousand times, as fast as it goes; ends with SECOND.
flip() {
  perl -e 'chdir shift or die;
    for (1 .. 500) { for (@ARGV) { symlink $_, "flip" or die "symlink: $!"; rename "flip", "system" or die "rename: $!" } }' \
    $PROFILES "$1" "$2"
}
number_of() { ls $PROFILES | grep -cx "system-.*-link"; }

guarded() {
  ln -s "$EVIL" $PROFILES/system-2-link
  flip system-1-link system-2-link
  expect_event quarantined "NARWARDEN_TOPLEVEL=$EVIL"
  wait_for $LONG profile_leads_to "$BASE"
  note "replaced by another directory"
  mv $PROFILES $PROFILES.away
  mkdir $PROFILES
  ln -s "$BASE" $PROFILES/system-1-link
  ln -s "$EVIL" $PROFILES/system-2-link
  ln -s system-2-link $SYSTEM
  # As it is: nothing is activated. Or it is in quarantine already.
  not activates_with_an_entry || fail "the rejected generation has a boot entry"
  # What it may write to was settled when it started, by inode: put right by the next one.
  systemctl kill --signal=KILL narwardend
  wait_for $LONG profile_leads_to "$BASE"
  same "$(number_of)" 1 || fail "$(ls -l $PROFILES)"
  note "a link to what is not there yet"
  ln -s /nix/store/00000000000000000000000000000000-gone $PROFILES/system-9-link
  if switch_to "$GOOD" boot; then fail "activated with a link that may lead somewhere later"; fi
  note "and back"
  rm -r $PROFILES
  mv $PROFILES.away $PROFILES
  wait_for $LONG deploy "$GOOD"
  in_menu "$GOOD" || fail "the good generation has no boot entry"
  not in_menu "$EVIL" || fail "the rejected generation has a boot entry"
  no_event queue-overflow
  daemon_ready || fail "the daemon is not ready"
}
activates_with_an_entry() { switch_to "$GOOD" boot && in_menu "$EVIL"; }

control() {
  ln -s "$EVIL" $PROFILES/system-2-link
  flip system-1-link system-2-link
  profile_leads_to "$EVIL" || fail "it leads to $(readlink -f $SYSTEM)"
  must deploy "$GOOD"
  in_menu "$EVIL" || fail "no boot entry"
}
