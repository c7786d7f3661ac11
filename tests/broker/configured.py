"""A mosquitto that runs with what ``purista-fast mosquitto config`` has written."""

from __future__ import annotations

import os
import pwd
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from purista_fast.bridges.mqtt.broker import Broker
from purista_fast.cli.commands import main
from purista_fast.config import BridgeSettings
from purista_fast.doctor.patient import Connection
from tests.mosquitto import Certificates, Mosquitto, free_port

__all__ = ("GLASSHOUSE", "Configured", "configured", "run_in")

GLASSHOUSE = """
from msgspec import Struct
from purista_fast import App, Context, Event, Service

class Reading(Struct):
    sensor: str

stored = Event("readingStored", Reading)
precious = Event("precious", Reading, durability="disk")
seen: list[str] = []

thermo = Service("Thermo")

@thermo.command(success_event=stored)
async def store(ctx: Context, payload: Reading) -> Reading:
    return payload

hall = Service("Hall")

@hall.subscription(stored)
async def show(ctx: Context, payload: Reading) -> None:
    seen.append(f"show {payload.sensor}")

@hall.subscription(stored, shared=False)
async def count(ctx: Context, payload: Reading) -> None:
    seen.append(f"count {payload.sensor}")

@hall.subscription(message_type="infoServiceReady")
async def arrive(ctx: Context) -> None:
    seen.append(f"ready {ctx.message.sender.instance_id}")

@hall.subscription(precious, shared=False)
async def keep(ctx: Context, payload: Reading) -> None:
    seen.append(f"keep {payload.sensor}")

@hall.command
async def ask(ctx: Context, payload: Reading) -> Reading:
    return await ctx.invoke(store, payload)

app = App(thermo, hall, name="glasshouse")
edge = App(thermo, name="edge")
cloud = App(hall, name="cloud")
"""


def run_in(folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str, **options: Any) -> Result:
    """Runs the command line in a folder with the application ``glasshouse:app``."""
    (folder / "glasshouse.py").write_text(GLASSHOUSE)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    sys.modules.pop("glasshouse", None)  # of another folder
    return CliRunner().invoke(main, list(arguments), **options)


class Configured(Mosquitto):
    """The broker, on a plain port and perhaps one with TLS."""

    def __init__(self, folder: Path, port: int, tls_port: int, certificates: Certificates | None) -> None:
        super().__init__(folder)
        self.port = port
        self.tls_port = tls_port
        self.certificates = certificates

    @property
    def log(self) -> str:
        return "see standard error: the configuration logs there"

    @property
    def database(self) -> Path:
        return self._folder / "data" / "mosquitto.db"

    def bridge_of(self, user: str, **more: Any) -> dict[str, Any]:
        """The settings of ``[bridge]`` for a user with a password, over the plain port."""
        secret = self._folder / "secrets" / user
        return {"url": self.url, "username": user, "password_file": str(secret), **more}

    def connect(self, user: str, **options: Any) -> Connection:
        """A plain connection of a user."""
        broker = Broker.of(BridgeSettings(**self.bridge_of(user)))
        return Connection(broker, timeout=10, **options)

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def _write_configuration(self) -> None:
        """It is there."""


@contextmanager
def configured(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *arguments: str,
    certificates: Certificates | None = None,
    passwords: bool = True,
) -> Iterator[Configured]:
    """Writes a configuration and runs a broker with it.

    :param arguments: of ``purista-fast mosquitto config``.
    """
    port, tls_port = free_port(), free_port()
    out = folder / "mosquitto"
    # Started as root it would become a user that cannot read the folders of tests.
    fixed = ["--out", str(out), "--user", pwd.getpwuid(os.getuid()).pw_name, "--port", str(port)]
    if passwords:
        fixed += ["--passwords", "generate"]
    if certificates is not None:
        fixed += ["--cafile", str(certificates.ca), "--certfile", str(certificates.server)]
        fixed += ["--keyfile", str(certificates.server_key), "--tls-port", str(tls_port), "--tls-address", "127.0.0.1"]
    result = run_in(folder, monkeypatch, "mosquitto", "config", *arguments, *fixed)
    assert result.exit_code == 0, result.output
    broker = Configured(out, port, tls_port, certificates)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
