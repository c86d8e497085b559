# The daemon does not wait for itself: when it crashes, when it reads what it holds shut, when it runs its own program.
# control-in: ready

# Who takes core dumps, as a file that nobody ran before.
core_helper() {
  printf '#!/bin/sh\ncat >/dev/null\n: >/run/dumped\n' >/var/core-helper
  chmod 755 /var/core-helper
  echo '|/var/core-helper %P' >/proc/sys/kernel/core_pattern
}
another_daemon() { [[ $(daemon_pid) != "$1" ]] && daemon_ready; }

guarded() {
  local signal pid
  core_helper
  for signal in ABRT ILL; do
    pid=$(daemon_pid)
    systemctl kill --kill-whom=main --signal=$signal narwardend
    wait_for $LONG another_daemon "$pid"
  done
  [[ ! -e /run/dumped ]] || fail "its memory was dumped"
  # It holds these entry points, and has to read them.
  ask Verify "{\"target\":\"$EVIL\",\"force\":true}" | grep -q '"verdict":"deny"' || fail "no verdict on what is held"
  pid=$(daemon_pid)
  must systemctl reload narwardend
  wait_for $LONG daemon_ready
  same "$(daemon_pid)" "$pid" || fail "it is another process"
  refused "$EVIL" switch_to "$EVIL" test
  must deploy "$GOOD"
}

# The helper is run when any other program of root's crashes.
control() {
  core_helper
  ulimit -c unlimited
  sleep infinity &
  kill -ABRT $!
  wait_for $LONG test -e /run/dumped
}
