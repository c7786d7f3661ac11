#!/bin/bash
# sdist.sh ARCHIVE: installs the source distribution with plain pip and the oldest Rust that Cargo.toml names, in a new virtual
# environment, and imports it. The compiler is Debian's; cargo and the linker are those of the machine.
set -euo pipefail
archive=$(realpath "$1")
cd "$(dirname "$0")/../.."
KIT=$(realpath -m "${ARM_KIT:-.arm}")
. tools/arm/apt.sh
. tools/arm/rust.sh
oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
version=$(debian cache madison rustc-web | awk -v oldest="$oldest" '$3 ~ "^" oldest "[.]" { print $3; exit }')
[ -n "$version" ] || { echo "Debian 12 has no rustc-web of version $oldest" >&2; exit 1; }
rust "$KIT/rust-$oldest" debian "$version"
"$KIT/rust-$oldest/bin/rustc" --version
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
env -u RUSTFLAGS RUSTC="$KIT/rust-$oldest/bin/rustc" CARGO_TARGET_DIR="$work/target" \
  "$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir --no-binary purista-fast "$archive"
cd "$work"
venv/bin/python -c 'import purista_fast; print("purista-fast", purista_fast.__version__, "imported")'
venv/bin/purista-fast demo --bridge memory:// --seconds 2 > demo.txt || { cat demo.txt; exit 1; }
echo "purista-fast demo ran"
