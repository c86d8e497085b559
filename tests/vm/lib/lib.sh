# What scenarios are written with. Everything here waits for conditions, never for a time; bounds are generous, since
# a guest is an emulated machine on a busy host.
# shellcheck shell=bash

readonly PROFILES=/nix/var/nix/profiles SYSTEM=/nix/var/nix/profiles/system
readonly QUARANTINE=/nix/var/nix/gcroots/narwarden-quarantine
readonly LONG=120

set -E
trap 'printf "unexpected: %s (line %s of %s) ended with %s\n" "$BASH_COMMAND" "$LINENO" "${BASH_SOURCE[0]}" "$?"' ERR

# fail WHAT…: ends the scenario.
fail() {
  trap - ERR
  printf 'FAILED: %s\n' "$*"
  exit 1
}
# note WHAT…: is shown while it runs with --verbose, and kept in the log.
note() { printf -- '- %s\n' "$*"; }

# wait_for SECONDS COMMAND…: until it succeeds.
wait_for() {
  local until=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < until)) || fail "waited in vain for: $*"
    sleep 0.05
  done
}
# both of these are for conditions in wait_for and `if`
not() { ! "$@"; }
same() { [[ $1 == "$2" ]]; }
# must COMMAND…: fails with its output unless it succeeds.
must() {
  local output
  output=$("$@" 2>&1) || fail "$* ended with $?: $output"
}

# --- the journal, from the begin of this part on ---

# Not by a cursor: with one, journalctl of systemd 252 leaves out the first entry that matches.
begin_part() { journal_from=@$EPOCHREALTIME; }
# forget_events: what was written until now does not count. Also after the clock was set.
forget_events() { begin_part; }
# event NAME [FIELD=VALUE]…: whether narwardend wrote such an event.
event() {
  local name=$1
  shift
  [[ -n $(journalctl --no-pager --quiet --since="$journal_from" -o cat "NARWARDEN_EVENT=$name" "$@") ]]
}
expect_event() { wait_for $LONG event "$@"; }
no_event() {
  journalctl --sync
  ! event "$@" || fail "there is an event $*"
}

# --- what a generation does is seen in /run/vm-seen ---

name_of() { printf '%s\n' "${1##*/}"; }
# ran TOPLEVEL: whether any code of it was run as root since forget_runs, or the boot.
ran() { [[ -e /run/vm-seen/$(name_of "$1") ]]; }
forget_runs() { rm -f /run/vm-seen/*; }
is_running() { [[ $(readlink -f /run/current-system) == "$1" ]]; }

# refused TOPLEVEL COMMAND…: it fails, nothing of the generation was run, and the journal says so.
refused() {
  local toplevel=$1 output code=0
  shift
  forget_events
  output=$("$@" 2>&1 </dev/null) || code=$?
  ((code != 0)) || fail "went through: $* ($output)"
  ! ran "$toplevel" || fail "$toplevel ran, by: $*"
  expect_event denied "NARWARDEN_TOPLEVEL=$toplevel" NARWARDEN_ACTION=refused
}
# activated TOPLEVEL COMMAND…: it succeeds, and the generation was run.
activated() {
  local toplevel=$1
  shift
  forget_runs
  must "$@"
  ran "$toplevel" || fail "$toplevel did not run, by: $*"
}

# --- deployments ---

# set_profile TOPLEVEL [PROFILE]
set_profile() { NIX_REMOTE=local must nix-env -p "${2:-$SYSTEM}" --set "$1"; }
# switch_to TOPLEVEL [ACTION]: as a tool calls it.
switch_to() { "$1/bin/switch-to-configuration" "${2:-switch}"; }
# unit_switch TOPLEVEL [ACTION]: as nixos-rebuild calls it.
unit_switch() {
  systemd-run -E LOCALE_ARCHIVE -E NIXOS_INSTALL_BOOTLOADER= --collect --no-ask-password --pipe --quiet \
    --service-type=exec --unit=nixos-rebuild-switch-to-configuration "$1/bin/switch-to-configuration" "${2:-switch}"
}
# deploy TOPLEVEL [ACTION]: all that nixos-rebuild does on the host.
deploy() {
  set_profile "$1"
  unit_switch "$1" "${2:-switch}"
}
profile_leads_to() { [[ $(readlink -f "${2:-$SYSTEM}") == "$1" ]]; }
# in_menu TOPLEVEL: whether it can be booted.
in_menu() { grep -qsxF "$1" /boot/loader/default /boot/loader/entries/*; }
# quarantined TOPLEVEL
quarantined() {
  local link
  for link in "$QUARANTINE"/*; do
    [[ $(readlink "$link") != "$1" ]] || return 0
  done
  return 1
}

# --- the daemon ---

daemon_pid() { systemctl show --value -p MainPID narwardend; }
daemon_ready() { [[ $(systemctl is-active narwardend) == active ]] && narwarden status >/dev/null; }
# judged TOPLEVEL VERDICT: whether the last verdict on it is this one: `ADMIT` or `DENY`.
judged() {
  local name
  name=$(name_of "$1")
  narwarden log -n 200 | grep -F "${name#*-}" | tail -n 1 | grep -qw "$2"
}

# accept_policy TEXT: the policy of the running generation with more lines at its end, pinned.
accept_policy() {
  local policy=/etc/narwarden/policy.toml
  { cat $policy; printf '%s\n' "$@"; } >$policy.new
  mv $policy.new $policy
  forget_events
  must narwarden policy accept --digest "$(sha256sum <$policy | cut -d' ' -f1)"
  expect_event admitted "NARWARDEN_TOPLEVEL=$BASE"
}
# ask METHOD [PARAMETERS]: what it answers, without the command line in between.
ask() { printf '{"method":"io.narwarden.%s","parameters":%s}\0' "$1" "${2:-{\}}" | nc -NU /run/narwarden/io.narwarden | tr '\0' '\n'; }

# --- the disk ---

# change_block FILE [CHARACTER]: puts this in place of its first byte, under the file system, which learns nothing of it.
change_block() {
  local block
  sync
  read -r block _ < <(debugfs -R "blocks $(readlink -f "$1")" /dev/vda 2>/dev/null)
  printf %s "${2:-X}" | dd of=/dev/vda bs=1 seek=$((block * 4096)) conv=notrunc,fsync status=none
  forget_pages
}
# forget_pages: files are read from the disk again.
forget_pages() {
  sync
  echo 3 >/proc/sys/vm/drop_caches
}

# --- the daemon, when it is not well. While it stands still a program that it did not see yet waits, with whoever runs
# --- it: these use what bash has, and what was run before. ---

# kill_daemon [PID]: by SIGKILL. systemd starts another one.
kill_daemon() {
  local pid=${1:-$(daemon_pid)}
  kill -KILL "$pid"
  wait_for $LONG not test -e "/proc/$pid/exe"
}
# next_daemon PID: until another one than that is ready.
next_daemon() {
  wait_for $LONG not same "$(daemon_pid)" "$1"
  wait_for $LONG daemon_ready
}
# stop_whole PID: by SIGSTOP, until each of its threads stands still.
stop_whole() {
  local until=$((SECONDS + LONG))
  kill -STOP "$1"
  until stands_still "$1"; do
    ((SECONDS < until)) || fail "a thread of $1 goes on"
  done
}
stands_still() {
  local thread line
  for thread in "/proc/$1"/task/*; do
    read -r line <"$thread/stat" || return 1
    line=${line##*) }
    [[ ${line:0:1} == T ]] || return 1
  done
}
# waits_for_answer PID: whether the kernel asks about what it opens or runs, and has no answer.
waits_for_answer() {
  local what
  read -r what <"/proc/$1/wchan" || [[ $what ]] || return 1
  [[ $what == fanotify* ]]
}
# has_open PID FILE: whether the process has it open, by whatever name.
has_open() {
  local descriptor
  for descriptor in "/proc/$1"/fd/*; do
    [[ ! $descriptor -ef $2 ]] || return 0
  done
  return 1
}
# end_refused PID TOPLEVEL: a process in the background has to fail, and nothing of TOPLEVEL to have been run.
end_refused() {
  local code=0
  wait "$1" || code=$?
  ((code != 0)) || fail "it was let through"
  ! ran "$2" || fail "$2 ran"
}
# drop_in LINE…: one more file with these lines for the unit, for its section [Service].
drop_in() {
  mkdir -p /run/systemd/system/narwardend.service.d
  printf '%s\n' '[Service]' "$@" >/run/systemd/system/narwardend.service.d/vm.conf
  systemctl daemon-reload
}
# keep_no_descriptors: takes out what holds files shut while no daemon is there.
keep_no_descriptors() { drop_in FileDescriptorStoreMax=0 FileDescriptorStorePreserve=no "$@"; }
# lock_database, unlock_database: nobody else can read that of Nix in between.
lock_database() {
  rm -f /run/vm/lock /run/vm/locked
  mkfifo -m 600 /run/vm/lock
  sqlite3 /nix/var/nix/db/db.sqlite <>/run/vm/lock >/run/vm/lock.log 2>&1 &
  database_lock=$!
  printf '%s\n' '.bail on' '.timeout 60000' 'PRAGMA locking_mode = EXCLUSIVE;' 'BEGIN EXCLUSIVE;' \
    '.shell touch /run/vm/locked' >/run/vm/lock
  wait_for $LONG test -e /run/vm/locked
}
unlock_database() {
  printf '.quit\n' >/run/vm/lock
  wait "$database_lock"
}

# --- the end of a boot; the scenario goes on in another function afterwards ---

# reboot_then FUNCTION: an orderly one.
reboot_then() {
  printf '\001reboot %s\n' "$1"
  systemctl reboot
  sleep infinity
}
# power_cut_then FUNCTION: now.
power_cut_then() {
  printf '\001cut %s\n' "$1"
  sleep infinity
}
# power_cut_after MILLISECONDS FUNCTION: while the scenario goes on.
power_cut_after() { printf '\001cut %s %s\n' "$2" "$1"; }
