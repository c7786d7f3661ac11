"""``purista-fast health``."""

from __future__ import annotations

import anyio
import click
import msgspec

from ..errors import ServiceError
from ..fan_out import each
from ..health import Health, Uplink, health
from . import options
from .failures import FAILED
from .options import Connection
from .output import line, note, printable

__all__ = ("command",)


@click.command("health")
@click.option("--instance", metavar="ID", help="Only this instance.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait: for who is there, and for each answer.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each instance.")
@options.connection
def command(instance: str | None, timeout: float, as_json: bool, connection: Connection) -> int:
    """Print how the running applications are: connection, outbox, queues, errors.

    An instance that is there and does not answer makes the exit code 1.
    """

    async def main() -> dict[str, Health | ServiceError]:
        async with connection.open("health") as client:
            wanted = [instance] if instance else [found.instance_id for found in await client.alive(timeout)]
            return await each(client, *wanted).invoke(health.using(timeout=timeout)) if wanted else {}

    found = anyio.run(main)
    for instance_id, answer in sorted(found.items()):
        if isinstance(answer, ServiceError):
            note(printable(f"{instance_id}: no answer: {answer}"))
        else:
            line(msgspec.json.encode(answer).decode() if as_json else _readable(answer))
    if not found:
        note(f"nobody has answered within {timeout:g} s")
    return FAILED if any(isinstance(answer, ServiceError) for answer in found.values()) else 0


def _readable(found: Health) -> str:
    """A few lines for people; what is zero is left out."""
    link = "connected" if found.connected else "not connected"
    if found.connected_for is not None:
        link += f" for {_span(found.connected_for)}"
    if found.reconnects:
        link += f", {found.reconnects} reconnects"
    lines = [f"{found.instance_id}  {found.app}, up for {_span(found.up_for)}, {link} ({found.bridge})"]
    outbox = found.outbox
    if outbox.messages:
        age = "" if outbox.oldest_age is None else f", the oldest {_span(outbox.oldest_age)} old"
        lines.append(f"outbox: {outbox.messages} messages, {outbox.bytes} bytes{age}")
    for what, count in [
        ("commands running", found.commands_running),
        ("invocations waiting for answers", found.pending_invocations),
        ("late answers", found.late_answers),
        ("messages waiting for a retry", found.retries),
        ("dead letters", found.dead_letters),
        *((f"dropped ({reason})", count) for reason, count in found.drops.items()),
        *((f"errors of {handler}", count) for handler, count in found.handler_errors.items()),
    ]:
        if count:
            lines.append(f"{what}: {count}")
    lines += _uplink(found.uplink) if found.uplink is not None else []
    for name, queue in found.queues.items():
        if queue.waiting or queue.running:
            lines.append(f"queue of {name}: {queue.waiting} waiting, {queue.running} running")
    return "\n    ".join(printable(text) for text in lines)


def _uplink(found: Uplink) -> list[str]:
    link = "not connected" if found.connected_for is None else f"connected for {_span(found.connected_for)}"
    lines = [f"uplink: {link} ({found.url}) as {found.instance_id}, {found.taken_up} up, {found.taken_down} down"]
    if found.outbox.messages:
        age = "" if found.outbox.oldest_age is None else f", the oldest {_span(found.outbox.oldest_age)} old"
        lines.append(f"uplink outbox: {found.outbox.messages} messages, {found.outbox.bytes} bytes{age}")
    lines += [f"uplink dropped ({reason}): {count}" for reason, count in found.drops.items()]
    return lines + ([f"uplink dead letters: {found.dead_letters}"] if found.dead_letters else [])


def _span(seconds: float) -> str:
    """A duration for people.

    >>> _span(4.2), _span(90.0), _span(200_000.0)
    ('4.2 s', '1.5 min', '2.3 d')
    """
    for unit, size in (("d", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
