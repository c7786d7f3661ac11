"""``purista-fast alive``."""

from __future__ import annotations

import time

import anyio
import click
import msgspec

from ..presence import Instance
from . import options
from .options import Connection
from .output import line, note, printable

__all__ = ("command",)


@click.command("alive")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for answers.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each instance.")
@options.connection
def command(timeout: float, as_json: bool, connection: Connection) -> None:
    """Print which applications are running: instance, since when, services."""

    async def main() -> list[Instance]:
        async with connection.open("alive") as client:
            return await client.alive(timeout)

    found = anyio.run(main)
    for instance in found:
        line(msgspec.json.encode(instance).decode() if as_json else _readable(instance))
    if not found:
        note(f"nobody has answered within {timeout:g} s")


def _readable(instance: Instance) -> str:
    services = ", ".join(f"{name}/{version}" for name, version in instance.services)
    since = "-" if instance.since is None else f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(instance.since))}"
    return printable(f"{instance.instance_id:<26}  {since:<19}  {services}")
