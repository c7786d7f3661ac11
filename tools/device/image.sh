#!/usr/bin/env bash
# Builds the image of the Dockerfile without Docker, has it run the demo, and prints its sizes: tools/device/image.sh WORK [PYTHON]
#
# WORK: a folder for the base, the storage of buildah and the image. PYTHON: one with pip, to fetch wheels.
# The base is Debian's smallest, made here by mmdebstrap from the packages that debian:trixie-slim is made of, without
# documentation, manuals and translations as there. Needs root, dist/ with a wheel (`make wheels WHEELS=x86_64`), buildah, mmdebstrap.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(realpath -m "${1:?a folder to work in}") python=${2:-.venv/bin/python}
suite=trixie version=3.13
wheels=(dist/purista_fast-*-abi3-manylinux*"$(uname -m)".whl)
[[ -e ${wheels[0]} ]] || { echo "no wheel of this machine in dist/: make wheels WHEELS=x86_64" >&2; exit 1; }
mkdir -p "$work/context/dist"

buildah() {
  command buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"
}

if [[ ! -s $work/base.tar ]]; then
  echo "making the base: $suite"
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sed 's#/$##' | grep -m1 '/debian$')
  mmdebstrap --quiet --variant=minbase --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    "$suite" "$work/base.tar.new" "$mirror"
  mv "$work/base.tar.new" "$work/base.tar"
fi
container=$(buildah from scratch)
buildah add --quiet "$container" "$work/base.tar" / >/dev/null
buildah commit --quiet --rm "$container" localhost/base >/dev/null

# What the image installs from PyPI comes from there before, by this machine's own settings.
rm -f "$work"/context/dist/purista_fast-*
"$python" -m pip download --quiet --dest "$work/context/dist" --only-binary=:all: --python-version "$version" \
  --find-links dist "${wheels[-1]}"
cp Dockerfile pyproject.toml .dockerignore "$work/context"
echo "building"
buildah bud --quiet --isolation chroot --build-arg BASE=localhost/base --build-arg PIP_NO_INDEX=1 \
  --tag localhost/purista-fast "$work/context" >/dev/null

# The demo, as the image starts it: its own user, state in a folder, nothing else to write to.
container=$(buildah from localhost/purista-fast)
trap 'buildah rm "$container" >/dev/null' EXIT
buildah run --isolation chroot "$container" -- purista-fast demo --seconds 3 --json >"$work/demo.json"
"$python" -c 'import json, sys; json.load(open(sys.argv[1]))' "$work/demo.json"
buildah run --isolation chroot "$container" -- sh -c '! command -v cc && test "$(id -u)" = 10001 && test -w /state && ! test -w /opt' >/dev/null

size() { # of what an image consists of, in MB of 1,000,000 bytes
  local mounted; mounted=$(buildah from "$1")
  du --summarize --bytes "$(buildah mount "$mounted")" | awk '{ printf "%.1f", $1 / 1e6 }'
  buildah rm "$mounted" >/dev/null
}
base=$(size localhost/base) whole=$(size localhost/purista-fast)
package=$(du --summarize --bytes "$(buildah mount "$container")/opt/purista-fast" | awk '{ printf "%.1f", $1 / 1e6 }')
printf 'base %s MB, image %s MB: %.1f MB beyond the base, %s MB of them purista-fast with its dependencies\n' \
  "$base" "$whole" "$(awk "BEGIN { print $whole - $base }")" "$package"
