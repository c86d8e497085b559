# By an interpreter that only reads it: bash, sh, a pipe, a copy, the loader.
# guests: trixie

# by_reading HOW: `refused` or `activated`.
by_reading() {
  local how=$1 loader=/lib64/ld-linux-x86-64.so.2
  $how "$EVIL" bash "$EVIL/bin/switch-to-configuration" check
  $how "$EVIL" sh -c ". $EVIL/dry-activate"
  $how "$EVIL" bash -c "bash <$EVIL/dry-activate"
  $how "$EVIL" bash -o pipefail -c "cat $EVIL/dry-activate | bash"
  $how "$EVIL" bash -o pipefail -c "dd if=$EVIL/dry-activate status=none | bash -s"
  $how "$EVIL" bash -c "text=\$(<$EVIL/dry-activate) && eval \"\$text\""
  $how "$EVIL" bash -c "cp $EVIL/dry-activate /root/copy && bash /root/copy"
  $how "$EVIL" bash -c "cp -r $EVIL/. /tmp/copy && bash /tmp/copy/dry-activate"
  $how "$EVIL" "$loader" /bin/bash "$EVIL/dry-activate"
  $how "$EVIL" perl -e 'open my $script, "<", shift or die "$!\n"; open my $bash, "|-", "bash" or die "$!\n";
    print {$bash} <$script>' "$EVIL/dry-activate"
  $how "$EVIL" bash "$EVIL/activate"
}

guarded() {
  by_reading refused
  # Ordinary users read it as any other file: they activate nothing by that.
  must runuser -u alice -- cat "$EVIL/activate"
  # What is admitted may be read by anybody, and run so.
  activated "$GOOD" bash "$GOOD/bin/switch-to-configuration" check
  activated "$GOOD" bash -c "cp $GOOD/dry-activate /root/copy && bash /root/copy"
}
control() { by_reading activated; }
