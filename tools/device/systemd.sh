#!/usr/bin/env bash
# Has a real systemd run the unit that `purista-fast systemd-unit` writes: tools/device/systemd.sh WORK [PYTHON]
#
# WORK: a folder for a Debian 12 with systemd, Python and mosquitto, which systemd-nspawn starts without a network.
# PYTHON: one with pip, to fetch wheels. Needs root, dist/ with a wheel (`make wheels WHEELS=x86_64`), mmdebstrap, systemd-container.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(realpath -m "${1:?a folder to work in}") python=${2:-.venv/bin/python}
suite=bookworm version=3.11 root=$work/root
wheels=(dist/purista_fast-*-abi3-manylinux*"$(uname -m)".whl)
[[ -e ${wheels[0]} ]] || { echo "no wheel of this machine in dist/: make wheels WHEELS=x86_64" >&2; exit 1; }
mkdir -p "$work/wheels"

if [[ ! -e $root/etc/os-release ]]; then
  echo "making a root: $suite"
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sed 's#/$##' | grep -m1 '/debian$')
  rm -rf "$root.new"
  mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv,dbus,python3,python3-venv,mosquitto \
    "$suite" "$root.new" "$mirror"
  mv "$root.new" "$root"
fi
rm -f "$work"/wheels/purista_fast-*
"$python" -m pip download --quiet --dest "$work/wheels" --only-binary=:all: --python-version "$version" \
  --find-links dist "${wheels[-1]}"
here=$root/opt/greenhouse
rm -rf "$here" "$root"/var/lib/private/greenhouse "$root/etc/machine-id"
mkdir -p "$here/wheels"
cp "$work"/wheels/*.whl "$here/wheels"
cat >"$here/greenhouse.py" <<'APP'
import os, time
from purista_fast import App, Context, Service

thermo = Service("Thermo")
block = os.path.join(os.environ.get("STATE_DIRECTORY", "."), "block")

@thermo.every(5)
async def write_beside_the_state(ctx: Context) -> None:
    try:
        open("written", "w")
    except OSError as error:
        ctx.logger.warning("%s", error)

@thermo.every(0.2)
async def block_the_loop(ctx: Context) -> None:
    if os.path.exists(block):
        os.remove(block)
        time.sleep(600)

app = App(thermo)
APP
cat >"$here/purista.toml" <<'TOML'
[bridge]
url = "mqtt://localhost:1883"
username = "greenhouse"
password_file = "/etc/greenhouse.password"
wait_for_broker = false
TOML
echo "127.0.0.1 localhost" >"$root/etc/hosts"
install -m 0600 <(echo secret) "$root/etc/greenhouse.password"
chroot "$root" sh -ec '
  cd /opt/greenhouse
  for venv in venv-1 venv-2; do
    python3 -m venv $venv
    PIP_FIND_LINKS= $venv/bin/pip install --quiet --no-index --find-links wheels purista-fast
  done
  ln -sfn venv-1 venv
  touch /etc/mosquitto/passwords
  mosquitto_passwd -b /etc/mosquitto/passwords greenhouse secret
  chown mosquitto /etc/mosquitto/passwords
  printf "listener 1883 127.0.0.1\npassword_file /etc/mosquitto/passwords\n" >/etc/mosquitto/conf.d/test.conf
  venv/bin/purista-fast systemd-unit greenhouse:app --name greenhouse --watchdog 4 --force \
    --venv /opt/greenhouse/venv \
    --output /etc/systemd/system/greenhouse.service 2>/dev/null
  systemd-analyze verify --man=no greenhouse.service 2>&1 | grep "^/etc/systemd/system/greenhouse" | grep -v "RestartSteps\|RestartMaxDelaySec" && exit 1
  systemctl --quiet enable greenhouse mosquitto
'

systemd-nspawn --quiet --directory "$root" --boot --register=no --keep-unit --private-network --console=pipe \
  --machine=purista-test </dev/null >"$work/console" 2>&1 &
machine=$!
trap 'kill $machine 2>/dev/null; wait $machine || true' EXIT

inside() {
  nsenter --target "$(cut -d' ' -f1 "/proc/$machine/task/$machine/children")" --all -- "$@"
}
journal() {
  inside journalctl --boot --no-pager --output=cat --unit=greenhouse "$@"
}
property() {
  inside systemctl show greenhouse --value --property="$1"
}
fail() {
  echo "not so: $1" >&2
  journal | tail -40 >&2 || true
  exit 1
}
holds() { # WHAT COMMAND...: the command succeeds within a minute
  local what=$1 end=$((SECONDS + 60)); shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || fail "$what"
    sleep 0.2
  done
  echo "ok: $what"
}
is() { [[ $(property "$1") == "$2" ]]; }
status_has() { [[ $(property StatusText) == *"$1"* ]]; }
says() { journal | grep -qF -- "$1"; }

holds "it is ready, and systemd was told so" is ActiveState active
holds "it has logged in with a password that root alone can read" status_has " on mqtt://localhost:1883"
[[ $(stat -c %a "$root/etc/greenhouse.password") == 600 && $(property MainPID) != 0 ]] || fail "the password is root's"
holds "it cannot write beside its state" says "Read-only file system: 'written'"
holds "the journal has its priorities" eval 'journal --priority=warning | grep -qF "Read-only file system"'
inside systemctl stop mosquitto
holds "a broker that is away is told of" status_has "without a connection to mqtt://localhost:1883"
sleep 10 # more than two watchdogs, which must not come
is NRestarts 0 || fail "a broker that is away is no reason to start anew"
echo "ok: a broker that is away is no reason to start anew"
inside systemctl start mosquitto
holds "it has found the broker again" status_has " on mqtt://localhost:1883"
inside sh -c 'touch /var/lib/greenhouse/block && chmod 666 /var/lib/greenhouse/block'
holds "a blocked loop misses the watchdog" says "Watchdog timeout (limit 4s)!"
holds "the journal says where it hung" eval 'journal | grep -q "greenhouse.py\", line [0-9]* in block_the_loop"'
holds "it is started anew" eval 'is NRestarts 1 && is ActiveState active'
inside sh -c 'cd /opt/greenhouse && ln -sfn venv-2 venv.new && mv -T venv.new venv && systemctl restart greenhouse'
inside sh -c 'tr "\0" " " <"/proc/$(systemctl show greenhouse --value --property=MainPID)/cmdline"' | grep -q ^/opt/greenhouse/venv-2/ \
  || fail "the new version runs after a switch and a restart"
echo "ok: the new version runs after a switch and a restart"
exposure=$(inside systemd-analyze security --no-pager greenhouse.service | sed -n 's/.*exposure level for //p')
inside systemctl stop greenhouse
is Result success || fail "it has stopped cleanly: $(property Result)"
echo "ok: it has stopped cleanly"
echo "$(inside systemctl --version | head -1): all as it should be; exposure of $exposure"
