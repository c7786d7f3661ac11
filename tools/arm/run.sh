#!/bin/bash
# run.sh ROOT COMMAND...: a command in an ARM tree that roots.sh made, in namespaces of its own (user, mount, pid, and
# network unless NET=host). Its binfmt_misc is its own too (Linux 6.7 or newer), so nothing of this machine changes,
# and what the command leaves running ends with it. Needs no root.
set -euo pipefail
kit=$(realpath -m "${ARM_KIT:-$(dirname "$0")/../../.arm}")
export ARM_ROOT=$kit/roots/$1 ARM_QEMU=$kit/qemu
# Processors that have no more than the wheels may ask for: ARMv7 without NEON and division, ARMv8.0.
case $1 in
  *-armhf) export QEMU_CPU=${QEMU_CPU:-cortex-a9,neon=off} ;;
  *) export QEMU_CPU=${QEMU_CPU:-cortex-a53} ;;
esac
shift
[ -d "$ARM_ROOT" ] || { echo "$ARM_ROOT is missing: tools/arm/roots.sh makes it" >&2; exit 2; }
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
network=--net
[ "${NET:-}" != host ] || network=
exec unshare --user --map-root-user --mount --pid --fork --kill-child $network --propagation private \
  bash -euc '
mount -t proc proc /proc
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
register() { printf "%s" ":$1:M::$2:$3:$ARM_QEMU/$1-static:FP" > /proc/sys/fs/binfmt_misc/register; }
register qemu-aarch64 "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00" \
  "\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
register qemu-arm "\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x28\x00" \
  "\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
[ "${NET:-}" = host ] || ip link set lo up
# A mount point, as the root of a system is.
mount --bind "$ARM_ROOT" "$ARM_ROOT"
for folder in /dev /proc /sys; do mount --rbind "$folder" "$ARM_ROOT$folder"; done
# The broker and openssl are those of this machine, with their libraries where they look for them: the kernel runs them
# beside the emulated programs, at full speed.
for shown in /lib64 /lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu /usr/lib/ssl /etc/ssl /etc/pip.conf /etc/resolv.conf \
  /etc/hosts $(command -v mosquitto mosquitto_passwd openssl); do
  [ -e "$shown" ] || continue
  inside=$ARM_ROOT$shown
  if [ -d "$shown" ]; then mkdir -p "$inside"; else mkdir -p "${inside%/*}"; touch "$inside"; fi
  mount --bind -o ro "$shown" "$inside"
done
# Not with exec: pid 1 would ignore the signals that the tests send to themselves.
export PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin HOME=/work LC_ALL=C.UTF-8
chroot "$ARM_ROOT" /bin/sh -c "cd \"\${DIR:-/}\" && exec \"\$@\"" sh "$@" || exit
' run "$@"
