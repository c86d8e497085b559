# A user adds a toplevel whose entry point has the bytes of the daemon, and the store is optimised: one file, two names.
# guests: trixie

readonly OWN=/run/current-system/sw/bin/narwardend
as_alice() { setpriv --reuid=alice --regid=alice --groups=nix-users env HOME=/home/alice "$@"; }
# As any user of Nix may. Prints the path.
add_copy() {
  local from
  from=$(as_alice mktemp -d)
  as_alice sh -c "mkdir $from/nixos-system-copy-26.05 && cd $from/nixos-system-copy-26.05 &&
    cp $OWN activate && chmod 555 activate && echo 26.05.copy >nixos-version"
  as_alice env NIX_REMOTE=daemon nix-store --add "$from/nixos-system-copy-26.05"
}
optimise() {
  NIX_REMOTE=local must nix-store --optimise
  [[ $1/activate -ef $OWN ]] || fail "$(stat -L "$1/activate" $OWN)"
}
another_daemon() { [[ $(daemon_pid) != "$1" ]] && daemon_ready; }

guarded() {
  local copy pid
  copy=$(add_copy)
  # Nix of Debian lies outside of what runs, and is no reader of what is held.
  must narwarden observe --for 10m --reason 'optimising the store'
  optimise "$copy"
  must narwarden observe --end
  wait_for $LONG refused_again "$copy"
  refused "$copy" "$copy/activate" --version
  must $OWN --version
  must narwarden status
  pid=$(daemon_pid)
  systemctl kill --signal=KILL narwardend
  # systemd runs it, while nobody is there to ask.
  wait_for $LONG another_daemon "$pid"
  must $OWN --version
  wait_for $LONG refused_again "$copy"
  must systemctl reload narwardend
  wait_for $LONG daemon_ready
  must $OWN --version
  must deploy "$GOOD"
}
refused_again() { ! "$1/activate" --version; }

control() {
  local copy
  copy=$(add_copy)
  optimise "$copy"
  must "$copy/activate" --version
}
