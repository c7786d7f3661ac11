"""An application on a read-only disk writes into its state directory, and nowhere else."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mosquitto import Mosquitto, mosquitto
from tests.patience import patient

WORKS = """
import os
from pathlib import Path
from purista_fast import App, Context, Event, Service

done = Event("done", int, durability="disk") if os.environ["PURISTA_BRIDGE__URL"] != "memory://" else Event("done", int)
works = Service("Works")
told = False

@works.every(0.05)
async def tell(ctx: Context) -> None:
    global told
    if not told:
        told = True
        await ctx.emit(done, 1)

@works.subscription(done)
async def on(ctx: Context, payload: int) -> None:
    try:
        Path("here").touch()
    except OSError as error:
        print(error.strerror, flush=True)

app = App(works)
"""
READ_ONLY = """
mount --bind "$1" "$1"
awk '{ print $5 }' /proc/self/mountinfo | while read -r point; do
  case "$point" in
    "$1"|/proc|/proc/*|/sys|/sys/*|/dev|/dev/*) ;;
    *) mount -o remount,bind,ro "$point" ;;
  esac
done
shift
exec "$@"
"""
"""Makes every file system of its mount namespace read-only but for one folder, and runs a command."""


@pytest.fixture(params=["memory", "mqtt"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "memory":
        yield "memory://"
        return
    broker: Mosquitto
    with mosquitto(tmp_path_factory.mktemp("broker")) as broker:
        yield broker.url


def test_it_runs_where_only_the_state_can_be_written(tmp_path: Path, url: str) -> None:
    (tmp_path / "works.py").write_text(WORKS)
    state = tmp_path / "state"
    state.mkdir()
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("PURISTA_", "PYTHONDONT"))}
    process = subprocess.Popen(
        [
            *("unshare", "--mount", "--propagation", "private", "sh", "-ec", READ_ONLY, "read-only", str(state)),
            *(sys.executable, "-m", "purista_fast.cli", "run", "works:app"),
        ],
        cwd=tmp_path,
        env={**environ, "STATE_DIRECTORY": str(state), "PURISTA_BRIDGE__URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "Read-only file system\n", process.communicate(timeout=patient(20))[1]
        process.send_signal(signal.SIGTERM)
        _, logged = process.communicate(timeout=patient(20))
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0
    assert not [line for line in logged.splitlines() if " WARNING " in line or " ERROR " in line]
    assert {path.name for path in tmp_path.iterdir()} == {"works.py", "state"}
    assert bool(list(state.rglob("messages.db"))) == (url != "memory://")
