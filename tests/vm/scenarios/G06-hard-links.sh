# By a hard link: under another name, in another directory of the store, in the place of what is admitted.
# guests: trixie

# linked HOW: `refused` or `activated`.
linked() {
  local how=$1
  ln "$EVIL/dry-activate" /root/nothing-special
  ln "$EVIL/bin/switch-to-configuration" /nix/var/nix/another
  mkdir -p /nix/store/.links
  ln "$EVIL/activate" /nix/store/.links/0123456789
  $how "$EVIL" /root/nothing-special
  $how "$EVIL" bash /root/nothing-special
  $how "$EVIL" /nix/var/nix/another check
  $how "$EVIL" /nix/store/.links/0123456789
}

guarded() {
  linked refused
  activated "$GOOD" switch_to "$GOOD" check
  # In the place of a file that was admitted a moment ago, it is what it was: the rejected generation's.
  forget_runs
  ln -f "$EVIL/dry-activate" "$GOOD/dry-activate"
  refused "$EVIL" "$GOOD/dry-activate"
  not ran "$GOOD" || fail "$GOOD ran"
}
control() {
  linked activated
  ln -f "$EVIL/dry-activate" "$GOOD/dry-activate"
  activated "$EVIL" "$GOOD/dry-activate"
}
