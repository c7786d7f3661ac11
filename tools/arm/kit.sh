#!/bin/bash
# kit.sh [DIR]: what `make wheels` builds with, and qemu, in DIR (default: $ARM_KIT, else .arm of the project).
#
# A Rust compiler of Debian with a standard library for every target, zig as the linker (it links against the glibc that is asked
# for, whatever the machine has), maturin, and qemu's user emulation. Packages are unpacked, not installed: nothing outside of DIR
# changes, and root is not needed. What is there already is left as it is.
set -euo pipefail
cd "$(dirname "$0")/../.."
KIT=$(realpath -m "${1:-${ARM_KIT:-.arm}}") REQUIREMENTS=$PWD/requirements/wheels.txt

say() { printf '%s\n' "kit: $*"; }
for tool in apt-get dpkg tar cargo python3; do
  command -v $tool >/dev/null || { say "$tool is missing: the kit is made of Debian's packages, on an x86_64 Debian or Ubuntu, with cargo"; exit 1; }
done
[ "$(uname -m)" = x86_64 ] || { say "this machine is $(uname -m), the kit is for x86_64"; exit 1; }
mkdir -p "$KIT"
. tools/arm/apt.sh
. tools/arm/rust.sh

# --- rustc: the newest that Debian 12 has, which is in its security suite
if [ ! -x "$KIT/rust/bin/rustc" ]; then
  rust "$KIT/rust" security "$(security cache policy rustc-web | awk '/Candidate/ { print $2 }')"
fi
say "$("$KIT/rust/bin/rustc" -V)"

# --- qemu, to run what was built
if [ ! -x "$KIT/qemu/qemu-arm-static" ]; then
  download debian qemu-user-static
  mkdir -p "$KIT/qemu"
  dpkg --fsys-tarfile "$KIT"/debs/qemu-user-static_*.deb | tar x -C "$KIT/qemu" --strip-components=3 ./usr/bin/qemu-aarch64-static ./usr/bin/qemu-arm-static
fi
say "$("$KIT/qemu/qemu-arm-static" --version | head -1)"

# --- maturin, zig and the rest, with the hashes of requirements/wheels.txt
if ! cmp -s "$REQUIREMENTS" "$KIT/venv/requirements.txt"; then
  [ -x "$KIT/venv/bin/python" ] || python3 -m venv "$KIT/venv"
  "$KIT/venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --requirement "$REQUIREMENTS"
  cp "$REQUIREMENTS" "$KIT/venv/requirements.txt"
fi
say "$("$KIT/venv/bin/maturin" --version), zig $("$KIT/venv/bin/python" -m ziglang version)"

# --- the standard library for each target, from Debian's source; its dependencies are in there, so no registry is asked
while read -r target flags; do
  lib=$KIT/rust/usr/lib/rustlib/$target
  [ "$target" != x86_64-unknown-linux-gnu ] || continue # the compiler's own
  made="$("$KIT/rust/bin/rustc" -V) $flags"
  [ "$(cat "$lib/made" 2>/dev/null)" != "$made" ] || continue
  say "standard library for $target: compiling"
  work=$KIT/std source=$KIT/rust/usr/lib/rustlib/src/rust
  rm -rf "$work" && mkdir -p "$work/src" "$work/.cargo" && : >"$work/src/lib.rs"
  printf '[package]\nname = "std-for-the-kit"\nversion = "0.0.0"\nedition = "2021"\n' >"$work/Cargo.toml"
  printf '[source.crates-io]\nreplace-with = "debian"\n[source.debian]\ndirectory = "%s"\n' "$source/library/vendor" >"$work/.cargo/config.toml"
  (cd "$work" && unset CARGO_ENCODED_RUSTFLAGS CARGO_TARGET_DIR CARGO_BUILD_TARGET &&
    RUSTC=$KIT/rust/bin/rustc RUSTC_BOOTSTRAP=1 \
    RUSTFLAGS="-Cembed-bitcode=yes --remap-path-prefix=$(realpath "$source")=/rust --remap-path-prefix=$source=/rust $flags" \
    cargo build --quiet --jobs "${J:-1}" --offline --release --target "$target" -Zbuild-std=std,panic_unwind,panic_abort,test,proc_macro </dev/null)
  rm -f "$work/target/$target/release/deps/"libstd_for_the_kit*
  rm -rf "$lib" && mkdir -p "$lib/lib"
  cp "$work/target/$target/release/deps/"*.rlib "$lib/lib/"
  echo "$made" >"$lib/made"
  rm -rf "$work"
done < <(python3 tools/wheels/targets.py)
say "$KIT is complete"
