# Each of the five verbs, on a generation that nobody vouches for.
guarded() {
  local verb
  for verb in switch boot test dry-activate check; do
    refused "$EVIL" switch_to "$EVIL" $verb
  done
  activated "$GOOD" switch_to "$GOOD" test
  is_running "$GOOD" || fail "the good generation does not run"
}

control() {
  local verb
  for verb in check dry-activate test boot switch; do
    activated "$EVIL" switch_to "$EVIL" $verb
  done
  is_running "$EVIL" || fail "it does not run"
}
