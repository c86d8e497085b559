# Store paths with fs-verity: admitted as others, and what is altered below them cannot be read, and denies.
# guests: trixie

file() { readlink -f "$GOOD/etc/generation"; }
seal_files() {
  local file
  for file in "$(file)" "$GOOD/init" "$GOOD/boot.json"; do
    must fsverity enable "$file"
    must fsverity measure "$file"
    # That moved its time of modification, which is a part of what is judged.
    touch -d @1 "$file"
  done
}

guarded() {
  local path
  path=$(cut -d/ -f1-4 <<<"$(file)")
  seal_files
  must deploy "$GOOD"
  is_running "$GOOD" || fail "the good generation does not run"
  change_block "$(file)"
  not cat "$(file)" || fail "what was altered can be read: $(<"$(file)")"
  forget_events
  must narwarden scrub
  expect_event scrub-drift "NARWARDEN_STORE_PATH=$path"
  expect_event denied "NARWARDEN_TOPLEVEL=$GOOD"
  forget_runs
  refused "$GOOD" switch_to "$GOOD" boot
}

# Without fs-verity the same is read as if nothing had been; without the daemon it is activated in either case.
control() {
  seal_files
  change_block "$(file)"
  not cat "$(file)" || fail "what was altered can be read"
  change_block "$(readlink -f "$BETTER/etc/generation")"
  grep -q '^X' "$BETTER/etc/generation" || fail "the block did not change"
  activated "$GOOD" switch_to "$GOOD" test
}
