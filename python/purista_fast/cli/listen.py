"""``purista-fast listen``."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Any

import anyio
import click
import msgspec

from .._core import Address, Message, encode
from ..client import Client
from . import options
from .options import Connection
from .output import line, note, printable, wait_for_closed_pipe

__all__ = ("command",)

_BUFFER = 10_000
_WIDTH = 200


@click.command("listen")
@click.argument("event", required=False)
@click.option("--type", "message_type", metavar="TYPE", help="Only messages of this type, such as customMessage.")
@click.option("--json", "as_json", is_flag=True, help="Print each message whole, as one line of JSON.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after so many messages.")
@options.connection
def command(
    event: str | None, message_type: str | None, as_json: bool, count: int | None, connection: Connection
) -> None:
    """Print the messages that pass by: all, or those of an event; until Ctrl-C.

    A line tells when a message was sent, its type, its event, from whom to whom, and its payload.
    """
    show = _whole if as_json else _readable

    async def main() -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with anyio.create_task_group() as tasks:
                # From the start, so that an attempt to connect can be ended as well.
                tasks.start_soon(_end_at_signal, signals, tasks.cancel_scope)
                tasks.start_soon(_end_at_closed_pipe, tasks.cancel_scope)
                async with (
                    connection.open("listen") as client,
                    client.listen(event, message_type=message_type, buffer=_BUFFER) as messages,
                ):
                    note(f"listening to {event or 'everything'} as instance {client.instance_id}; Ctrl-C ends")
                    try:
                        await _print(messages, show, count)
                    finally:
                        _tell_dropped(client)
                tasks.cancel_scope.cancel()

    anyio.run(main)


async def _print(messages: AsyncIterator[Message], show: Callable[[Message], str], count: int | None) -> None:
    seen = 0
    async for message in messages:
        line(show(message))
        seen += 1
        if seen == count:
            return


async def _end_at_signal(signals: AsyncIterator[signal.Signals], scope: anyio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()
        return


async def _end_at_closed_pipe(scope: anyio.CancelScope) -> None:
    await wait_for_closed_pipe()
    scope.cancel()


def _tell_dropped(client: Client) -> None:
    """Says how many messages came faster than they could be printed."""
    subscriptions: dict[str, Any] = client.statistics().get("subscriptions", {})
    ours = [counts for name, counts in subscriptions.items() if name.startswith(("CommandLine/", "Client/"))]
    dropped = sum(counts.get("dropped", 0) for counts in ours)
    if dropped:
        note(f"{dropped} messages came too fast and are missing")


def _whole(message: Message) -> str:
    return msgspec.json.format(encode(message), indent=-1).decode("utf-8", "replace")


def _readable(message: Message) -> str:
    to = f" → {_name(message.receiver)}" if message.receiver else ""
    head = (
        f"{_time(message.timestamp)}  {message.message_type:<24}  {message.event_name or '-':<16}  "
        f"{_name(message.sender)}{to}  "
    )
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDTH
    payload = (message.payload or b"")[: 4 * width + 4].decode("utf-8", "replace")
    text = printable(head + " ".join(payload.split("\n"))).rstrip()
    return text if len(text) <= width else text[: width - 1] + "…"


def _time(timestamp: int | None) -> str:
    """When a message was sent, in local time, for people."""
    try:
        sent = datetime.fromtimestamp((timestamp or 0) / 1000)
    except (OverflowError, ValueError, OSError):
        return "??:??:??.???"
    return f"{sent:%H:%M:%S}.{sent.microsecond // 1000:03}"


def _name(address: Address) -> str:
    return f"{address.service_name}/{address.service_version}/{address.service_target}".rstrip("/")
