# A signed generation weakens the daemon's unit, masks it, or has none: the daemon outlives the switch, and judges on.
# guests: trixie
# control-in: ready
guarded() {
  local pid candidate
  pid=$(daemon_pid)
  for candidate in "$WEAKENED" "$BASE" "$MASKED" "$BASE" "$WITHOUT"; do
    must switch_to "$candidate" test
    is_running "$candidate" || fail "$candidate does not run"
    same "$(cat "/proc/$pid/comm")" narwardend || fail "it did not outlive $candidate"
    ! bash "$EVIL/activate" 2>/dev/null || fail "let through under $candidate"
  done
  ! ran "$EVIL" || fail "it ran"
  refused "$EVIL" switch_to "$EVIL" test
}

# The unit of the running generation says nothing of that.
control() {
  local units
  units=$(readlink -f /etc/systemd/system)
  rm /etc/systemd/system
  cp -r "$units" /etc/systemd/system
  sed -i -e '/^X-/d' -e '/^RefuseManualStop/d' /etc/systemd/system/narwardend.service
  systemctl daemon-reload
  must switch_to "$WITHOUT" test
  activated "$EVIL" switch_to "$EVIL" test
}
