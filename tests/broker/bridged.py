"""Two mosquittos, the one of a device with the bridge that ``purista-fast mosquitto bridge`` writes."""

from __future__ import annotations

import json
import os
import pwd
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from purista_fast.cli.commands import main
from purista_fast.mosquitto import links
from tests.mosquitto import Mosquitto

__all__ = ("DEVICE", "KEEPS_INBOUND", "Pair", "pair", "run_in")

DEVICE = "greenhouse_7"
KEEPS_INBOUND = (links.find_release() or (0, 0, 0)) >= links.INBOUND
"""Whether the mosquitto that the tests run keeps what waits at the other broker."""
APPLICATION = """
from purista_fast import App, Context, Event, Service

high, low, noise, config = Event("alarmHigh"), Event("alarmLow"), Event("noise"), Event("fleetConfigChanged")
limited = Event("limitSet")
seen: list[object] = []
watch = Service("Watch")

@watch.command(name="setLimit", success_event=limited, emits=[high, low])
async def set_limit(ctx: Context, payload: int) -> int:
    if payload == 1:
        await ctx.emit(high, payload)
    return payload

@watch.command(emits=[noise])
async def secret(ctx: Context) -> str:
    return "secret"

@watch.subscription(config, shared=False)
async def changed(ctx: Context, payload: int) -> None:
    seen.append(ctx.message.to_dict())

app = App(watch, name="edge")
"""


def run_in(folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str, **tree: Any) -> Result:
    """Runs ``purista-fast mosquitto bridge`` in a folder with the application ``edge:app`` and these settings."""
    (folder / "edge.py").write_text(APPLICATION)
    (folder / "bridge.toml").write_text(_toml(tree))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    sys.modules.pop("edge", None)  # of another folder
    return CliRunner().invoke(main, ["mosquitto", "bridge", "--config", "bridge.toml", *arguments])


def _toml(tree: dict[str, Any], name: str = "") -> str:
    plain = [f"{json.dumps(key)} = {json.dumps(value)}" for key, value in tree.items() if not isinstance(value, dict)]
    lines = [f"[{name}]"] * bool(name) + plain
    for key, value in tree.items():
        if isinstance(value, dict):
            lines.append(_toml(value, ".".join(filter(None, (name, json.dumps(key))))))
    return "\n".join(lines) + "\n"


class Pair:
    """The broker of a device, and the one in the cloud."""

    def __init__(self, local: Mosquitto, cloud: Mosquitto, conf: Path) -> None:
        self.local = local
        self.cloud = cloud
        self.conf = conf

    @property
    def is_linked(self) -> bool:
        """Whether the bridge has come to the cloud since its last start."""
        return self.cloud.log.rpartition("mosquitto version")[2].count(f" as {DEVICE} ") > 0


@contextmanager
def pair(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *arguments: str,
    cloud: Mosquitto,
    port: int | None = None,
    lines: tuple[str, ...] = (),
    bridge: dict[str, Any] | None = None,
    **uplink: Any,
) -> Iterator[Pair]:
    """Writes the bridge for ``[uplink]``, and runs the broker of the device with it.

    :param port: of the cloud, where it is not reached directly.
    :param lines: more of the device's ``mosquitto.conf``.
    """
    made = folder / "device"
    (made / "links").mkdir(parents=True)
    local = Mosquitto(made, lines=[*lines, f"include_dir {made / 'links'}"])
    url = f"mqtt://127.0.0.1:{port}" if port else cloud.url
    tree = {
        "bridge": {"url": local.url, "instance_id": DEVICE, **(bridge or {})},
        "uplink": {"url": url, "enabled": False, **uplink},
    }
    conf = made / "links" / "bridge.conf"
    user = pwd.getpwuid(os.getuid()).pw_name
    result = run_in(folder, monkeypatch, *arguments, "--output", str(conf), "--user", user, **tree)
    assert result.exit_code == 0, result.output
    local.start()
    try:
        yield Pair(local, cloud, conf)
    finally:
        local.stop()
