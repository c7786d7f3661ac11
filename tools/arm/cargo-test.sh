#!/bin/bash
# cargo-test.sh [ARGUMENTS...]: `cargo test` of rust/core for aarch64 and ARMv7 (usize of 32 bits), run by qemu. The ARMv7 has no NEON.
set -euo pipefail
cd "$(dirname "$0")/../.."
KIT=$(realpath -m "${ARM_KIT:-.arm}")
tools/arm/kit.sh "$KIT"
. tools/arm/apt.sh
test_on() { # test_on TARGET DEBIAN_ARCHITECTURE QEMU...
  local target=$1 architecture=$2 qemu=$3 sysroot flags runner
  sysroot=$KIT/sysroot-$architecture
  if [ ! -d "$sysroot" ]; then
    rm -rf "$sysroot.new"
    mkdir -p "$sysroot.new"
    (cd "$sysroot.new" && apt_for bookworm "$architecture" get download -qq libc6 libgcc-s1 && for package in *.deb; do dpkg -x "$package" .; done)
    mv "$sysroot.new" "$sysroot"
  fi
  flags=$(python3 tools/wheels/targets.py | awk -v target="$target" '$1 == target { print $2 }')
  echo "cargo test for $target"
  runner=CARGO_TARGET_$(tr a-z- A-Z_ <<< "$target")_RUNNER
  env "$runner=$KIT/qemu/$qemu -L $sysroot" RUSTC="$KIT/rust/bin/rustc" RUSTFLAGS="$flags" PATH="$KIT/venv/bin:$PATH" \
    CARGO_TARGET_DIR="$KIT/target" cargo-zigbuild test --locked --package purista-core --lib --tests --target "$target" "${arguments[@]}"
}

arguments=("$@")
test_on armv7-unknown-linux-gnueabihf armhf "qemu-arm-static -cpu cortex-a9,neon=off"
test_on aarch64-unknown-linux-gnu arm64 qemu-aarch64-static
