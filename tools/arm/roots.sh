#!/bin/bash
# roots.sh [ROOT...]: trees of ARM systems in ${ARM_KIT:-.arm}/roots, to run with run.sh. Needs no root.
set -euo pipefail
cd "$(dirname "$0")/../.."
KIT=$(realpath -m "${ARM_KIT:-.arm}")
mkdir -p "$KIT/roots"
. tools/arm/apt.sh

# debian SUITE ARCH PYTHON: packages of Debian unpacked, not installed. There is no compiler in them.
debian() {
  local suite=$1 arch=$2 python=$3 root=$KIT/roots/$1-$2.new
  rm -rf "$root"
  mkdir -p "$root"
  apt_for "$suite" "$arch" get install -qq -y -d --no-install-recommends \
    "$python" "$python-venv" base-files bash coreutils dash grep libgcc-s1 mawk mount procps sed tzdata util-linux > /dev/null
  # base-files first: from trixie on it brings the links /bin and /lib, into which the others are unpacked.
  for package in "$KIT/apt/$suite-$arch/cache/archives"/{base-files_,}*.deb; do nice -n 19 dpkg -x "$package" "$root"; done
  ln -sf dash "$root/bin/sh"
  ln -sf mawk "$root/usr/bin/awk"
  ln -sf "$python" "$root/usr/bin/python3"
  finish "$suite-$arch"
}

# finish ROOT: what maintainer scripts would have made.
finish() {
  local root=$KIT/roots/$1.new
  mkdir -p "$root"/{dev,proc,sys,tmp,work,etc}
  echo 'root:x:0:0:root:/work:/bin/sh' > "$root/etc/passwd"
  echo 'root:x:0:' > "$root/etc/group"
  rm -rf "$KIT/roots/$1"
  mv "$root" "$KIT/roots/$1"
}

[ $# -gt 0 ] || set -- bookworm-arm64 bookworm-armhf trixie-arm64 musl-arm64 musl-armhf
for name in "$@"; do
  [ -d "$KIT/roots/$name" ] && continue
  echo "root $name"
  case $name in
    bookworm-*) debian bookworm "${name#*-}" python3.11 ;;
    trixie-*) debian trixie "${name#*-}" python3.13 ;;
    musl-*) tools/arm/musl.sh "${name#*-}" "$KIT/roots/$name.new" && finish "$name" ;;
    *) echo "no root $name" >&2; exit 2 ;;
  esac
done
