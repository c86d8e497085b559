# A user at the socket: floods, garbage, huge frames, every method that changes something.
# guests: trixie
# control-in: ready

readonly SOCKET=/run/narwarden/io.narwarden
# Everything at once; says nothing, and leaves when all of it was tried.
readonly HOSTILE='
  use IO::Socket::UNIX; $SIG{PIPE} = "IGNORE"; my $path = shift;
  sub line { IO::Socket::UNIX->new(Peer => $path) }
  my @crowd = grep { defined } map { line() } 1 .. 200;
  print "connected ", scalar(@crowd), "\n";
  syswrite $_, "{\"method\":" for @crowd;
  my @garbage = ("\0" x 5000, "\xff" x 5000 . "\0", "{" x 60000 . "\0", "A" x (1 << 20), "GET / HTTP/1.1\r\n\r\n\0", "[]\0", "{}\0",
    "{\"method\":\"io.narwarden.Status\",\"parameters\":" . "[" x 20000 . "\0");
  undef @crowd;
  for my $text (@garbage) { for (1 .. 20) { my $line = line() or next; $line->blocking(0); syswrite $line, $text } }
  my @deaf = grep { defined } map { line() } 1 .. 8;
  $_->blocking(0), syswrite $_, "{\"method\":\"io.narwarden.Status\"}\0" x 1000 for @deaf;
  print "over\n"'
as_alice() { setpriv --reuid=alice --regid=alice --clear-groups "$@"; }
state() {
  ask Status | grep -o '"\(trust\|policy\|mode\)":{[^}]*}' | sort
  ls $QUARANTINE
}

readonly CHANGES=(
  'Reload {}' 'Scrub {}' 'Observe {"seconds":600,"reason":"no"}' 'EndObserve {}' 'CheckReceipts {}'
  'QuarantineRelease {"name":"NAME"}' 'QuarantineDrop {"name":"NAME"}' 'Proposal {}'
  'Accept {"what":"policy","digest":"DIGEST"}' 'Pin {"trust_digest":"DIGEST","policy_digest":"DIGEST"}'
  'Verify {"target":"/nix/store","force":true}')

guarded() {
  local change digest name before pid
  set_profile "$EVIL"
  expect_event quarantined "NARWARDEN_TOPLEVEL=$EVIL"
  wait_for $LONG profile_leads_to "$BASE"
  name=$(ls $QUARANTINE | head -n 1) digest=$(sha256sum </etc/narwarden/policy.toml | cut -d' ' -f1)
  before=$(state) pid=$(daemon_pid)
  as_alice perl -e "$HOSTILE" $SOCKET &
  # Root is served meanwhile, and what is not admitted is refused.
  must narwarden status
  refused "$EVIL" switch_to "$EVIL" check
  wait $! || fail "it ended with $?"
  must narwarden status
  wait_for $LONG alice_is_served
  for change in "${CHANGES[@]}"; do
    change=${change//NAME/$name} change=${change//DIGEST/$digest}
    printf '{"method":"io.narwarden.%s","parameters":%s}\0' "${change%% *}" "${change#* }" >/run/call
    as_alice nc -NU $SOCKET </run/call | grep -qF PermissionDenied || fail "alice may: $change"
  done
  same "$(state)" "$before" || fail "changed: $before and now $(state)"
  same "$(daemon_pid)" "$pid" || fail "it was restarted"
  (($(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$pid/status") < 131072)) || fail "$(cat "/proc/$pid/status")"
}
alice_is_served() { as_alice narwarden status | grep -q READY; }

# Root may, by the same calls.
control() {
  local before
  before=$(state)
  ask Observe '{"seconds":600,"reason":"no"}' | grep -q until || fail "root may not"
  not same "$(state)" "$before" || fail "nothing changed"
  activated "$EVIL" switch_to "$EVIL" test
}
