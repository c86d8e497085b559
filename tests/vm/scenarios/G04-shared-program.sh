# switch-to-configuration itself, which all generations share, told by hand to activate a rejected one.
# guests: trixie

# by_hand HOW: `denied` or `activated`. Each but the first is told by a wrapper made from that of what runs.
by_hand() {
  local how=$1 shared
  shared=$(readlink "$BASE/bin/.switch-to-configuration-wrapped")
  sed "s|$BASE|$EVIL|g" "$BASE/bin/switch-to-configuration" >/root/wrapper
  chmod +x /root/wrapper
  sed "s|^exec .*|exec $shared \"\$@\"|" /root/wrapper >/root/direct
  sed "s|^exec .*|exec $BASE/bin/.switch-to-configuration-wrapped \"\$@\"|" /root/wrapper >/root/by-good
  sed "s|^exec .*|exec /lib64/ld-linux-x86-64.so.2 $shared \"\$@\"|" /root/wrapper >/root/by-loader
  $how "$EVIL" /root/wrapper check
  $how "$EVIL" bash /root/wrapper dry-activate
  $how "$EVIL" bash /root/direct check
  $how "$EVIL" bash /root/by-good check
  $how "$EVIL" bash /root/by-loader check
  # Nor does it help that an admitted one was run by the same shell just before.
  $how "$EVIL" bash -c "$BASE/bin/switch-to-configuration check && bash /root/direct check"
  $how "$EVIL" systemd-run --quiet --pipe --wait --collect bash /root/direct check
}
# denied TOPLEVEL COMMAND…: it fails, and nothing of the generation was run. No generation is named by the event: the
# program is of none.
denied() {
  local output
  forget_events
  ! output=$("${@:2}" 2>&1 </dev/null) || fail "went through: ${*:2} ($output)"
  ! ran "$1" || fail "$1 ran, by: ${*:2}"
  expect_event denied NARWARDEN_ACTION=refused
}

guarded() {
  by_hand denied
  # Who could activate nothing by it runs it as any other program.
  local shared output
  shared=$(readlink "$BASE/bin/.switch-to-configuration-wrapped")
  output=$(runuser -u alice -- "$shared" 2>&1) || [[ $output == usage:* ]] || fail "alice cannot run it: $output"
  activated "$GOOD" switch_to "$GOOD" check
}
control() { by_hand activated; }
