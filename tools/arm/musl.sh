#!/bin/bash
# musl.sh arm64|armhf TARGET: a small system with musl in the folder TARGET: CPython 3.11 with ssl, sqlite3, zlib and
# ctypes, and busybox. Debian has no CPython for musl, so zig compiles Debian's sources; musl and busybox are Debian's.
# Needs, of this machine: make, perl, tclsh (for sqlite3.c) and a CPython 3.11 (BUILD_PYTHON).
set -euo pipefail
arch=$1 root=$(realpath -m "$2")
cd "$(dirname "$0")/../.."
KIT=$(realpath -m "${ARM_KIT:-.arm}")
. tools/arm/apt.sh
python=${BUILD_PYTHON:-$(command -v python3.11 || command -v python3)}
python=$("$python" -c 'import sys; print(sys.executable); sys.exit(sys.version_info[:2] != (3, 11))') || {
  echo "the musl systems need a CPython 3.11 to build theirs with: BUILD_PYTHON=/path/to/python3.11" >&2; exit 1; }
for tool in make perl tclsh; do command -v $tool > /dev/null || { echo "$tool is missing: apt-get install $tool" >&2; exit 1; }; done
case $arch in
  arm64) host=aarch64-linux-musl cpu= bits=linux-aarch64 ;;
  armhf) host=arm-linux-musleabihf cpu=-mcpu=generic+v7a+vfp3d16+thumb2-neon bits=linux-armv4 ;;
  *) echo "no architecture $arch" >&2; exit 2 ;;
esac
zig=$("$KIT/venv/bin/python" -c "import os, ziglang; print(os.path.dirname(ziglang.__file__))")/zig jobs=${J:-1}
work=$KIT/musl-$arch made=$KIT/musl-$arch/made
rm -rf "$work" "$root"
mkdir -p "$made/include" "$made/lib" "$root"
cd "$work"

# step NAME COMMAND...: its output is shown only if it fails.
step() {
  local name=$1
  shift
  echo "musl-$arch: $name"
  nice -n 19 "$@" > "$work/$name.log" 2>&1 || { tail -n 30 "$work/$name.log" >&2; echo "failed: $name" >&2; exit 1; }
}
unpacked() { mkdir "$1" && tar xf "$(ls "$1"_*.orig.tar.*[2z])" -C "$1" --strip-components=1; }

apt_for bookworm "$arch" get source -qq --download-only python3.11 openssl sqlite3 zlib libffi > /dev/null
apt_for bookworm "$arch" get download -qq musl busybox-static
for name in python3.11 openssl sqlite3 zlib libffi; do unpacked $name; done

# zig without the host's folders; -fPIC everywhere: zig's stub of the C library has no aliases, so that a copy relocation
# of environ would break.
cat > cc <<X
#!/bin/bash
dynamic=-dynamic words=()
for word in "\$@"; do
  case "\$word" in
    -I/usr/include*|-I/usr/local/include*|-L/usr/lib*|-L/usr/local/lib*|-L/lib*) continue ;;
    -c|-E|-S|-M*|--version|-v|-shared) dynamic= ;;
  esac
  words+=("\$word")
done
exec $zig cc -target $host $cpu -Wno-date-time -fPIC \$dynamic "\${words[@]}"
X
chmod +x cc
export CC=$work/cc AR="$zig ar" RANLIB="$zig ranlib"
unset CFLAGS CPPFLAGS LDFLAGS

(cd zlib && step zlib-configure env CFLAGS=-O2 ./configure --static --prefix="$made" && step zlib make -j"$jobs" install)
(cd libffi && step libffi-configure ./configure --host=$host --build=x86_64-linux-gnu --prefix="$made" --disable-shared \
  --disable-docs --disable-multi-os-directory --disable-exec-static-tramp CFLAGS=-O2 && step libffi make -j"$jobs" install)
(cd sqlite3 && step sqlite3-configure env CC=cc ./configure --disable-tcl --disable-readline && step sqlite3-source make sqlite3.c)
step sqlite3 ./cc -O2 -DSQLITE_THREADSAFE=1 -DSQLITE_ENABLE_COLUMN_METADATA -c sqlite3/sqlite3.c -o sqlite3.o
step sqlite3-library $zig ar rcs "$made/lib/libsqlite3.a" sqlite3.o
cp sqlite3/sqlite3.h sqlite3/src/sqlite3ext.h "$made/include/"
(cd openssl && step openssl-configure perl ./Configure $bits no-asm no-shared no-tests no-engine no-legacy no-async \
  no-aria no-bf no-camellia no-cast no-cmp no-cms no-ct no-idea no-md4 no-mdc2 no-rc2 no-rc4 no-seed no-sm2 no-sm3 no-sm4 no-srp no-ts \
  --prefix="$made" --libdir=lib --openssldir=/etc/ssl -O1 && step openssl make -j"$jobs" build_libs && step openssl-install make install_dev)

# It names its modules after the C library of the machine that it is built on, where it means the other one.
sed -i '/case "$build_os" in/s/build_os/host_os/' python3.11/configure
mkdir build
cd build
printf '%s\n' ac_cv_file__dev_ptmx=yes ac_cv_file__dev_ptc=no ac_cv_buggy_getaddrinfo=no ac_cv_func_preadv2=no \
  ac_cv_func_pwritev2=no > config.site
step python-configure env CONFIG_SITE="$PWD/config.site" PKG_CONFIG=/bin/false READELF="$(command -v readelf || echo readelf)" \
  CPPFLAGS="-I$made/include" LDFLAGS="-L$made/lib" LIBSQLITE3_CFLAGS="-I$made/include" LIBSQLITE3_LIBS="-L$made/lib -lsqlite3" \
  ZLIB_CFLAGS="-I$made/include" ZLIB_LIBS="-L$made/lib -lz" LIBFFI_INCLUDEDIR="$made/include" ../python3.11/configure \
  --host=$host --build=x86_64-linux-gnu --with-build-python="$python" --prefix=/usr --with-openssl="$made" \
  --without-ensurepip --disable-test-modules --enable-ipv6 CFLAGS="-O1 -g0"
step python make -j"$jobs"
step python-install make install DESTDIR="$root"

cd "$work"
dpkg -x musl_*.deb "$root"
dpkg -x busybox-static_*.deb busybox
mkdir -p "$root"/{bin,usr/bin,etc}
cp busybox/bin/busybox "$root/bin/busybox"
for name in sh awk env cat ls mkdir rm cp mv head tail sleep kill mount umount ps true false unshare grep sed; do ln -sf busybox "$root/bin/$name"; done
ln -sf ../../bin/busybox "$root/usr/bin/env"
cd "$KIT"
rm -rf "$work"
