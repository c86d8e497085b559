# From a mount namespace, a chroot; mounted over what is admitted, so that the path says good.
# guests: trixie

# elsewhere HOW: `refused` or `activated`.
elsewhere() {
  local how=$1 jail=/root/jail
  mkdir -p $jail
  $how "$EVIL" unshare -m "$EVIL/bin/switch-to-configuration" check
  $how "$EVIL" unshare -mpf --mount-proc "$EVIL/dry-activate"
  $how "$EVIL" unshare -Urm "$EVIL/dry-activate"
  $how "$EVIL" unshare -m bash -c "mount --bind $EVIL $jail && $jail/bin/switch-to-configuration check"
  $how "$EVIL" unshare -m bash -c "mount --rbind / $jail && chroot $jail $EVIL/bin/switch-to-configuration check"
  $how "$EVIL" systemd-run --quiet --pipe --wait --collect -p PrivateMounts=yes -p PrivateTmp=yes "$EVIL/dry-activate"
  # The path is that of the generation that runs.
  $how "$EVIL" unshare -m bash -c "mount --bind $EVIL $BASE && $BASE/bin/switch-to-configuration check"
  $how "$EVIL" unshare -m bash -c "mount --bind $EVIL/dry-activate $BASE/dry-activate && $BASE/dry-activate"
  $how "$EVIL" unshare -m bash -c "mount --bind $EVIL $BASE && bash $BASE/dry-activate"
  mount --bind "$EVIL/dry-activate" "$BASE/dry-activate"
  $how "$EVIL" "$BASE/dry-activate"
  umount "$BASE/dry-activate"
}

guarded() {
  elsewhere refused
  activated "$BASE" "$BASE/dry-activate"
  activated "$GOOD" unshare -m "$GOOD/bin/switch-to-configuration" check
}
control() { elsewhere activated; }
