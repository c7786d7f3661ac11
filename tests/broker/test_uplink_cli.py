"""What the command line tells of an uplink."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from purista_fast.cli.health import _readable
from purista_fast.health import Health, Outbox, Uplink
from tests.mosquitto import free_port
from tests.patience import patient

MODULE = """
from purista_fast import App, Context, Service

service = Service("Watch")


@service.command
async def measure(ctx: Context, payload: int) -> None:
    await ctx.emit("alarmHigh", payload)


app = App(service)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A device whose cloud is away."""
    (tmp_path / "device.py").write_text(MODULE, "utf-8")
    (tmp_path / "purista.toml").write_text(
        f"""
[bridge]
instance_id = "greenhouse_7"
[storage]
state_dir = "{tmp_path / "state"}"
[uplink]
url = "mqtt://user:secret@127.0.0.1:{free_port()}"
events = ["alarm*"]
""",
        "utf-8",
    )
    return tmp_path


def run(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "purista_fast.cli", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=patient(30))
    assert done.returncode == 0, done.stderr
    assert "secret" not in done.stdout + done.stderr
    return done.stdout


def test_status_tells_what_waits_for_the_cloud(folder: Path) -> None:
    empty = json.loads(run(folder, "outbox", "status", "device:app", "--json"))
    assert (empty["file"], empty["uplink"]["file"]) == (None, None)
    run(folder, "invoke", "Watch/1/measure", "95", "--app", "device:app")
    found = json.loads(run(folder, "outbox", "status", "device:app", "--json"))
    assert found["file"] is None, "memory:// keeps nothing"
    assert found["uplink"]["file"] == str(folder / "state/uplink/Watch/greenhouse_7/messages.db")
    assert found["uplink"]["outbox"]["events"]["alarmHigh"]["messages"] == 1
    text = run(folder, "outbox", "status", "device:app")
    assert "\nuplink\n" in text
    assert "alarmHigh: 1" in text
    listed = run(folder, "outbox", "list", "--state", "state/uplink/Watch/greenhouse_7")
    assert "alarmHigh" in listed


def test_health_tells_of_the_uplink(folder: Path) -> None:
    (line,) = run(folder, "health", "--app", "device:app", "--json", "--timeout", "0.5").splitlines()
    uplink = json.loads(line)["uplink"]
    assert (uplink["instanceId"], uplink["connected"], uplink["outbox"]["messages"]) == ("greenhouse_7", False, 0)
    assert uplink["url"].startswith("mqtt://…@127.0.0.1:")


def test_health_for_people() -> None:
    uplink = Uplink(
        url="mqtts://broker.example",
        instance_id="greenhouse_7",
        connected=True,
        connected_for=90.0,
        outbox=Outbox(messages=3, bytes=900, oldest_age=4.0),
        taken_up=5,
        taken_down=1,
        drops={"came back": 2},
        dead_letters=1,
    )
    found = Health(
        instance_id="a", app="Watch", version="1", bridge="memory://", up_for=1.0, connected=True, uplink=uplink
    )
    assert _readable(found).splitlines()[1:] == [
        "    uplink: connected for 1.5 min (mqtts://broker.example) as greenhouse_7, 5 up, 1 down",
        "    uplink outbox: 3 messages, 900 bytes, the oldest 4.0 s old",
        "    uplink dropped (came back): 2",
        "    uplink dead letters: 1",
    ]
