# Compilers of Debian, unpacked. To be sourced after apt.sh; KIT is the folder.
SECURITY=$(_uri /debian-security || echo "$MIRROR-security")
debian() { apt_for bookworm amd64 "$@"; }
security() { MIRROR=$SECURITY apt_for bookworm-security amd64 "$@"; }
download() { mkdir -p "$KIT/debs" && (cd "$KIT/debs" && "$1" get download -qq "${@:2}"); }

# rust FOLDER debian|security VERSION: rustc, its LLVM and the source of the standard library from rustc-web, which is what
# browsers are built with there. FOLDER/bin/rustc runs it.
rust() {
  local folder=$1 suite=$2 version=$3 std llvm package libraries new=$1.new
  [ ! -x "$folder/bin/rustc" ] || return 0
  std=libstd-rust-web-$(grep -oE '^[0-9]+\.[0-9]+' <<< "$version")
  llvm=$("$suite" cache depends "$std=$version" | grep -oE 'libllvm[0-9]+' | head -1)
  rm -rf "$new"
  mkdir -p "$new/bin" "$new/usr/lib/rustlib/src"
  download "$suite" "rustc-web=$version" "$std=$version" "libstd-rust-web-dev=$version" "$llvm" "rust-web-src=$version"
  for package in rustc-web "$std" libstd-rust-web-dev; do dpkg -x "$KIT/debs/${package}_${version}_amd64.deb" "$new"; done
  dpkg -x "$KIT/debs/$llvm"_*_amd64.deb "$new"
  dpkg --fsys-tarfile "$KIT/debs/rust-web-src_${version}_all.deb" | tar x -C "$new" --wildcards './usr/src/rustc-*/library'
  ln -sfn "../../../src/$(basename "$new"/usr/src/rustc-*)" "$new/usr/lib/rustlib/src/rust"
  libraries=/usr/lib/x86_64-linux-gnu
  if lacks "$new$libraries" "$new$libraries"; then
    local more=(libz3-4 libedit2 libbsd0 libmd0 libffi8 libxml2 libicu72 liblzma5 libzstd1 zlib1g libtinfo6)
    download debian "${more[@]}"
    for package in "${more[@]}"; do dpkg -x "$KIT/debs/${package}"_*_amd64.deb "$new"; done
    libraries="$libraries /lib/x86_64-linux-gnu"
    ! lacks "$new$libraries" "$new/usr/lib/x86_64-linux-gnu:$new/lib/x86_64-linux-gnu" || return 1
  fi
  cat > "$new/bin/rustc" << R
#!/bin/sh
export LD_LIBRARY_PATH="$(printf "$folder%s:" $libraries)\$LD_LIBRARY_PATH"
exec "$folder/usr/bin/rustc" "\$@"
R
  chmod +x "$new/bin/rustc"
  rm -rf "$folder"
  mv "$new" "$folder"
}

# lacks FOLDERS PATH: whether the LLVM in the first folder lacks libraries with this LD_LIBRARY_PATH; says which.
lacks() {
  local missing
  missing=$(LD_LIBRARY_PATH=$2 ldd "${1%% *}"/libLLVM*.so.* | grep 'not found') && echo "LLVM wants$missing" >&2
}
