# A signed generation weakens the daemon's unit (may be stopped, need not be restarted): it outlives the switch.
# guests: trixie
# control-in: ready
guarded() {
  local pid
  pid=$(daemon_pid)
  must switch_to "$WEAKENED" test
  is_running "$WEAKENED" || fail "it does not run"
  same "$(daemon_pid)" "$pid" || fail "it is another process"
  refused "$EVIL" switch_to "$EVIL" test
}

# The unit of the running generation says nothing of that, and a generation may go without.
control() {
  local units
  accept_policy 'agent = "may-leave"'
  units=$(readlink -f /etc/systemd/system)
  rm /etc/systemd/system
  cp -r "$units" /etc/systemd/system
  sed -i -e '/^X-/d' -e '/^RefuseManualStop/d' /etc/systemd/system/narwardend.service
  systemctl daemon-reload
  must switch_to "$WITHOUT" test
  activated "$EVIL" switch_to "$EVIL" test
}
