# A block of the disk changes under the file system: a scrub finds it, and what runs is judged again.
# guests: trixie

file() { readlink -f /run/current-system/etc/generation; }
finished() { ask Status | grep -q '"last":{"begun"'; }

guarded() {
  local file path
  # With nothing changed, nothing is found.
  must narwarden scrub
  expect_event scrub-finished
  no_event scrub-drift
  file=$(file) path=$(cut -d/ -f1-4 <<<"$(file)")
  judged "$BASE" ADMIT || fail "what runs is not admitted"
  change_block "$file"
  grep -q '^X' "$file" || fail "the block did not change: $(<"$file")"
  forget_events
  must narwarden scrub
  expect_event scrub-drift "NARWARDEN_STORE_PATH=$path" NARWARDEN_REASON=content-drift
  expect_event denied "NARWARDEN_TOPLEVEL=$BASE"
  judged "$BASE" DENY || fail "what runs was not judged again"
  # Nor does it come back by a switch.
  forget_runs
  refused "$BASE" switch_to "$BASE" boot
}

# Nobody would know: the file has the same time stamps, and is activated.
control() {
  local before
  before=$(stat -c '%s %y %z' "$(file)")
  change_block "$(file)"
  grep -q '^X' "$(file)" || fail "the block did not change"
  same "$(stat -c '%s %y %z' "$(file)")" "$before" || fail "a time stamp moved"
  activated "$BASE" switch_to "$BASE" test
}
