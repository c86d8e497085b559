# The clock is set back and a sealed file altered at the time that its seal names: the verdict is made anew, and denies.
# guests: trixie
guarded() {
  activated "$GOOD" switch_to "$GOOD" test
  alter_behind_the_clock
  expect_event clock-changed
  wait_for $LONG switch_to "$BASE" test
  ! bash "$GOOD/activate" 2>/dev/null || fail "an altered generation was activated"
  expect_event denied "NARWARDEN_TOPLEVEL=$GOOD" NARWARDEN_REASON=content-drift
}
alter_behind_the_clock() {
  local file=$GOOD/boot.json changed now
  changed=$(stat -c %Z "$file") now=$EPOCHSECONDS
  date -s "@$changed" >/dev/null
  printf X | dd of="$file" bs=1 seek=2 conv=notrunc status=none
  touch -d @1 "$file"
  date -s "@$now" >/dev/null
}

control() {
  activated "$GOOD" switch_to "$GOOD" test
  alter_behind_the_clock
  activated "$GOOD" switch_to "$GOOD" test
}
