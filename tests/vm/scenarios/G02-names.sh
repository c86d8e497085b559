# By other names: link, descriptor, relative path, profile, specialisation, what deploy-rs wraps around it.
# guests: trixie

# by_names HOW: `refused` or `activated`.
by_names() {
  local how=$1 quiet wrapped link=$PROFILES/per-user/root/deploy
  quiet=$(readlink "$EVIL_SPECIAL/specialisation/quiet")
  ln -sfn "$EVIL/bin/switch-to-configuration" /root/link
  ln -sfn "$EVIL_SPECIAL" /root/result
  $how "$EVIL" /root/link check
  $how "$EVIL" bash -c "cd $EVIL/bin && ./switch-to-configuration check"
  $how "$EVIL" bash -c "cd /var/lib && ../../nix/store/../store/./${EVIL##*/}/dry-activate"
  # Descriptors: of the directory, of the file, and one that was made without opening the file.
  $how "$EVIL" bash -c "exec 8<$EVIL; /proc/self/fd/8/bin/switch-to-configuration check"
  $how "$EVIL" bash -c "exec 9<$EVIL/dry-activate && /proc/self/fd/9"
  $how "$EVIL" perl -e '$^F = 20; sysopen(my $file, shift, 010000000) or die "$!\n";
    exec "/proc/self/fd/" . fileno($file) or die "$!\n"' "$EVIL/dry-activate"
  $how "$quiet" /root/result/specialisation/quiet/bin/switch-to-configuration check
  $how "$quiet" bash -c 'cd -P /root/result/specialisation/quiet && ./dry-activate'
  # A profile that is none of the system's: nobody looks into it ahead.
  mkdir -p "${link%/*}"
  set_profile "$EVIL" "$link"
  $how "$EVIL" "$link/bin/switch-to-configuration" check
  # What deploy-rs activates is a path of its own, which is refused in its own name; its links lead to the generation.
  $how "$EVIL" "$WRAPPED_EVIL/bin/switch-to-configuration" check
  $how "$EVIL" bash -c "cd $WRAPPED_EVIL && ./dry-activate"
  wrapped=$EVIL
  [[ $how == activated ]] || wrapped=$WRAPPED_EVIL
  $how "$wrapped" env PROFILE="$WRAPPED_EVIL" "$WRAPPED_EVIL/deploy-rs-activate"
}

guarded() {
  by_names refused
  # Signed itself, it vouches for what it leads to no more than a link does.
  NIX_REMOTE=local must nix store sign --key-file /srv/keys/ci.secret "$WRAPPED_EVIL"
  refused "$WRAPPED_EVIL" env PROFILE="$WRAPPED_EVIL" "$WRAPPED_EVIL/deploy-rs-activate"
  not ran "$EVIL" || fail "$EVIL ran"
  # What is admitted goes through by such names too.
  ln -sfn "$GOOD" /root/good
  activated "$GOOD" /root/good/bin/switch-to-configuration check
  activated "$GOOD" env PROFILE="$WRAPPED_GOOD" "$WRAPPED_GOOD/deploy-rs-activate"
}
control() { by_names activated; }
