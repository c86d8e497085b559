#!/usr/bin/env bash
# What narwardend costs, measured on this machine: see bench/README.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ $(id -u) != 0 ]]; then
  echo "bench/gate.sh needs root: fanotify groups, a mount namespace and a tmpfs" >&2
  exit 1
fi
for tool in cargo cc python3 unshare; do
  if ! command -v "$tool" >/dev/null; then
    echo "bench/gate.sh needs $tool" >&2
    exit 1
  fi
done

cargo build --release --locked -p narwardend --bin narwardend --example bench-root
built=$(realpath "${CARGO_TARGET_DIR:-target}")/release
work=$(mktemp -d)
trap 'rmdir "$work"' EXIT
# When the first process of the namespace ends, all others do, and the tmpfs with them.
unshare --mount --propagation=private --pid --fork --kill-child --mount-proc -- \
  python3 bench/gate.py "$built" "$work" bench/spawn.c "$@"
