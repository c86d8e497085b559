# A switch brings another build of the daemon, units are loaded anew, systemd executes itself: no gap, the same process.
# control-in: ready
guarded() {
  local pid
  attack_the_gap
  pid=$(daemon_pid)
  attempts &
  must deploy "$UPGRADED"
  expect_event successor
  wait_for $LONG daemon_ready
  wait_for $LONG is_the_next "$pid"
  systemctl daemon-reexec
  touch /run/vm/enough
  wait
  same "$(daemon_pid)" "$pid" || fail "it is another process"
  ! ran "$EVIL" || fail "it ran"
  # What held files shut is still kept for the one after this.
  kill_daemon "$pid"
  bash "$EVIL/activate" &>/dev/null &
  end_refused $! "$EVIL"
  next_daemon "$pid"
  refused "$EVIL" switch_to "$EVIL" test
}
# What runs as soon as the daemon is stopped.
attack_the_gap() { drop_in "ExecStopPost=+-/bin/bash $EVIL/activate" "$@"; }
is_the_next() { [[ /proc/$1/exe -ef $UPGRADED/sw/bin/narwardend ]]; }
attempts() {
  until [[ -e /run/vm/enough ]]; do
    bash "$EVIL/activate" || :
    "$EVIL/bin/switch-to-configuration" check || :
  done &>/dev/null
}

# A restart instead.
control() {
  attack_the_gap FileDescriptorStoreMax=0 FileDescriptorStorePreserve=no
  printf "[Unit]\nRefuseManualStop=no\n" >>/run/systemd/system/narwardend.service.d/vm.conf
  systemctl daemon-reload
  must systemctl restart narwardend
  ran "$EVIL" || fail "it did not run"
}
