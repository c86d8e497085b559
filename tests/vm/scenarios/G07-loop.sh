# The daemon is killed as soon as it is there, again and again, while somebody tries to activate all the time.
# control-in: ready
guarded() {
  local n pid last=0
  attempts &
  for n in {1..8}; do
    until pid=$(daemon_pid) && ((pid != 0 && pid != last)); do :; done
    kill_daemon "$pid"
    last=$pid
    cp /bin/true "/root/another-$n"
    "/root/another-$n" || fail "another program cannot be run"
  done
  next_daemon "$last"
  touch /run/vm/enough
  wait
  ! ran "$EVIL" || fail "it ran"
  refused "$EVIL" switch_to "$EVIL" test
  activated "$GOOD" switch_to "$GOOD" test
}
attempts() {
  until [[ -e /run/vm/enough ]]; do
    bash "$EVIL/activate" || :
    "$EVIL/bin/switch-to-configuration" check || :
  done &>/dev/null
}

control() {
  local pid
  keep_no_descriptors
  attempts &
  while ! ran "$EVIL"; do
    pid=$(daemon_pid)
    ((pid == 0)) || kill -KILL "$pid" || :
  done
  touch /run/vm/enough
  wait
}
