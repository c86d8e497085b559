# The daemon is told to stop, masked, frozen, and stopped by a unit that it conflicts with: nothing comes through.
# guests: trixie
# control-in: ready
guarded() {
  local pid reads
  pid=$(daemon_pid)
  not systemctl stop narwardend 2>/dev/null || fail "it was stopped"
  systemctl mask --runtime narwardend 2>/dev/null
  not systemctl stop narwardend 2>/dev/null || fail "it was stopped while masked"
  systemctl unmask --runtime narwardend 2>/dev/null
  same "$(daemon_pid)" "$pid" || fail "it is another process"
  refused "$EVIL" switch_to "$EVIL" test

  systemctl freeze narwardend
  bash "$EVIL/activate" &>/dev/null &
  reads=$!
  wait_for $LONG waits_for_answer $reads
  systemctl thaw narwardend
  end_refused $reads "$EVIL"

  stopped_by_a_conflict
  bash "$EVIL/activate" &>/dev/null &
  reads=$!
  wait_for $LONG waits_for_answer $reads
  systemctl start narwardend
  end_refused $reads "$EVIL"
}
no_daemon() { same "$(daemon_pid)" 0; }
stopped_by_a_conflict() {
  systemd-run --quiet --collect -p Conflicts=narwardend.service -p Type=oneshot true
  wait_for $LONG no_daemon
}

control() {
  keep_no_descriptors
  printf '[Unit]\nRefuseManualStop=no\n' >>/run/systemd/system/narwardend.service.d/vm.conf
  systemctl daemon-reload
  must systemctl stop narwardend
  activated "$EVIL" bash "$EVIL/activate"
}
