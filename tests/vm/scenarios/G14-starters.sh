# By other starters: NIXOS_NO_CHECK=1, --no-reexec, systemd-run, a timer, sudo, a session of ssh.
# guests: trixie

# ssh_as_root COMMAND…: as a deployment tool does.
ssh_as_root() {
  ssh -q -i /root/.ssh/key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes root@127.0.0.1 "$@"
}
start_ssh() {
  mkdir -p /root/.ssh /run/sshd
  ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/key
  ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/host
  cp /root/.ssh/key.pub /root/.ssh/authorized_keys
  must /usr/sbin/sshd -f /dev/null -h /root/.ssh/host -o ListenAddress=127.0.0.1 -o UsePAM=yes -o PermitRootLogin=yes
  wait_for $LONG ssh_as_root true
}

# started HOW: `refused` or `activated`.
started() {
  local how=$1
  $how "$EVIL" env NIXOS_NO_CHECK=1 "$EVIL/bin/switch-to-configuration" dry-activate
  $how "$EVIL" env NIXOS_SWITCH_USE_DIRTY_ENV=1 NIXOS_NO_SYNC=1 "$EVIL/bin/switch-to-configuration" check
  $how "$EVIL" env -i "$EVIL/bin/switch-to-configuration" check
  $how "$EVIL" setsid --wait nohup "$EVIL/bin/switch-to-configuration" check
  $how "$EVIL" setpriv --no-new-privs --bounding-set=-all --inh-caps=-all "$EVIL/bin/switch-to-configuration" check
  $how "$EVIL" unit_switch "$EVIL" check
  $how "$EVIL" systemd-run --quiet --scope --collect "$EVIL/bin/switch-to-configuration" check
  $how "$EVIL" systemd-run --quiet --pipe --wait --collect -p ExecStartPre="$EVIL/bin/switch-to-configuration check" true
  $how "$EVIL" runuser -u alice -- sudo -n NIXOS_NO_CHECK=1 "$EVIL/bin/switch-to-configuration" dry-activate
  $how "$EVIL" ssh_as_root "$EVIL/bin/switch-to-configuration" check
  $how "$EVIL" ssh_as_root "NIXOS_NO_CHECK=1 bash -lc 'cd / && $EVIL/bin/switch-to-configuration dry-activate'"
}
prepare_starters() {
  echo 'alice ALL=(ALL) NOPASSWD:SETENV: ALL' >/etc/sudoers.d/alice
  start_ssh
}
# by_timer: nobody waits for what it starts.
by_timer() {
  systemd-run --quiet --collect --unit=by-timer --timer-property=AccuracySec=1ms --on-active=1ms \
    "$EVIL/bin/switch-to-configuration" check
}

guarded() {
  prepare_starters
  started refused
  # A word for nixos-rebuild, which no program behind the gate knows.
  refused "$EVIL" switch_to "$EVIL" --no-reexec
  forget_events
  by_timer
  expect_event denied "NARWARDEN_TOPLEVEL=$EVIL" NARWARDEN_ACTION=refused
  not ran "$EVIL" || fail "$EVIL ran"
  activated "$GOOD" ssh_as_root "$GOOD/bin/switch-to-configuration" check
}

control() {
  prepare_starters
  started activated
  forget_runs
  by_timer
  wait_for $LONG ran "$EVIL"
  local output
  output=$(switch_to "$EVIL" --no-reexec 2>&1) || [[ $output == usage:* ]] || fail "$output"
}
