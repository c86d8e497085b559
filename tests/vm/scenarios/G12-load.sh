# Programs that nobody ran before are run during a verification: all of them run, none waits for it.
# guests: trixie
# control-in: ready

readonly MANY=400
# What a verification has to refute one by one, before it can say no.
many_signatures() {
  perl -MMIME::Base64 -e '
    my $point = "\x58" . "\x66" x 31;
    print join " ", map { "ci.vm-1:" . encode_base64($point . pack("VVx23C", $_, 1, 0) , "") } 1 .. 40000' >/run/signatures
  sqlite3 /nix/var/nix/db/db.sqlite "update ValidPaths set sigs = cast(readfile('/run/signatures') as text) where path = '$1'"
}
programs() {
  mkdir -p /var/many
  perl -e 'for (1 .. shift) { open my $file, ">", "/var/many/$_" or die; print $file "#!/bin/true\n"; chmod 0755, $file }' $MANY
}
# counter NAME [STATUS]
counter() { grep -o "\"$1\":[0-9]*" <<<"${2:-$(ask Status)}" | head -n 1 | cut -d: -f2; }
is_pending() { ask Status | grep -o '"pending":\[[^]]*\]' | grep -qF "$1"; }

guarded() {
  local before after status
  many_signatures "$BETTER"
  programs
  before=$(counter requests)
  switch_to "$BETTER" test 2>/run/activation &
  wait_for $LONG is_pending "$BETTER"
  sh -c 'for program in /var/many/*; do $program || exit 1; done' || fail "one of them did not run"
  is_pending "$BETTER" || fail "the verification was over before"
  status=$(ask Status)
  after=$(counter requests "$status")
  note "$before and $after requests"
  ((after - before >= MANY)) || fail "only $((after - before)) were asked about"
  same "$after" $(($(counter allowed "$status") + $(counter denied "$status"))) || fail "not all were answered: $status"
  no_event queue-overflow
  not ran "$BETTER" || fail "it ran"
}

# While nobody answers, they do wait: if the verification were in their way, it would be seen.
control() {
  local pid
  programs
  pid=$(daemon_pid)
  kill -STOP "$pid"
  sh -c 'exec /var/many/1' &
  wait_for $LONG grep -q fanotify /proc/$!/wchan
  kill -CONT "$pid"
  wait $! || fail "it did not run"
}
