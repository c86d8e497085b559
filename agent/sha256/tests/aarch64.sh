#!/usr/bin/env bash
# Runs the tests of this crate as a 64-bit Arm processor would: `agent/sha256/tests/aarch64.sh`.
#
# Needs root on a Debian, with mmdebstrap. The compiler, its standard library for Arm and the emulator
# come from Debian, into target/aarch64/root (2 GB), which is kept. NARWARDEN_SUITE names another
# suite than forky: it must have the Rust that Cargo.toml asks for.
set -euo pipefail
cd "$(dirname "$0")/../../.."

readonly here=$PWD/target/aarch64
readonly root=$here/root
readonly suite=${NARWARDEN_SUITE:-forky}
readonly cargo_home=${CARGO_HOME:-$HOME/.cargo}

if ! [[ -x $root/usr/bin/rustc ]]; then
  rm -rf "$root"
  mkdir -p "$here"
  # The suite is none of a release: a mirror that stands still for some weeks is good enough.
  mmdebstrap --quiet --variant=apt --architectures=amd64,arm64 \
    --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Check-Valid-Until "false"' \
    --include=rustc,cargo,gcc,libc6-dev,libstd-rust-dev:arm64,gcc-aarch64-linux-gnu,libc6-dev-arm64-cross,qemu-user \
    "$suite" "$root" ${NARWARDEN_MIRROR:+"$NARWARDEN_MIRROR"}
fi

cargo fetch --locked --quiet
mkdir -p "$root/project" "$root/cargo" "$here/target"
# What is mounted is gone with the namespace.
exec unshare --mount --propagation private bash -euo pipefail -s -- "$root" "$PWD" "$cargo_home" "$@" <<'INNER'
root=$1 project=$2 cargo_home=$3
shift 3
mount --bind "$project" "$root/project"
mount --bind "$cargo_home" "$root/cargo"
mount -t proc proc "$root/proc"
exec chroot "$root" /usr/bin/env -i \
  PATH=/usr/bin:/bin HOME=/root CARGO_HOME=/cargo CARGO_TARGET_DIR=/project/target/aarch64/target \
  CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
  CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER='qemu-aarch64 -L /usr/aarch64-linux-gnu' \
  bash -c 'cd /project && /usr/bin/cargo test --offline --locked -p narwarden-sha256 \
    --target aarch64-unknown-linux-gnu --lib --tests "$@"' cargo "$@" </dev/null
INNER
