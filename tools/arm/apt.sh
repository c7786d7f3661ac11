# apt of its own for another suite and architecture: nothing of this machine's changes. To be sourced; KIT is the folder.
# Debian's mirror is the one that this machine's apt uses; apt checks every signature and hash.
_uri() { apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sed 's#/$##' | grep -m1 -E "$1\$"; }
MIRROR=${MIRROR:-$(_uri /debian)}
: "${MIRROR:?this machine has no apt that uses a mirror of Debian: set MIRROR}"

# apt_for SUITE ARCH get|cache ARGUMENTS...
apt_for() {
  local suite=$1 arch=$2 command=$3 folder=$KIT/apt/$1-$2 key=/usr/share/keyrings/debian-archive-keyring.gpg
  shift 3
  if [ ! -s "$folder/sources.list" ]; then
    mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
    : > "$folder/status"
    printf 'deb [signed-by=%s] %s %s main\ndeb-src [signed-by=%s] %s %s main\n' \
      "$key" "$MIRROR" "$suite" "$key" "$MIRROR" "$suite" > "$folder/sources.list.new"
    _apt "$folder" "$arch" get update -qq -o Dir::Etc::sourcelist="$folder/sources.list.new"
    mv "$folder/sources.list.new" "$folder/sources.list"
  fi
  _apt "$folder" "$arch" "$command" -o Dir::Etc::sourcelist="$folder/sources.list" "$@"
}

_apt() {
  local folder=$1 arch=$2 command=$3
  shift 3
  nice -n 19 "apt-$command" -o Dir::Etc::sourceparts=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
    -o Dir::State::lists="$folder/lists" -o Dir::State::status="$folder/status" -o Dir::Cache="$folder/cache" \
    -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o APT::Sandbox::User="$(id -un)" \
    -o Acquire::Languages=none "$@"
}
