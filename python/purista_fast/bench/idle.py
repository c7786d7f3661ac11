"""An application with one service that waits: what ``startup`` starts. It collects its garbage when SIGUSR1 asks."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from ..app import App
from ..context import Context
from ..definition import Event
from ..service import Service

__all__ = ("COLLECTED", "app", "service")

COLLECTED = "collected"
"""The line that it writes to standard error when it has."""


class Payload(msgspec.Struct):
    """What it would work with."""

    id: int
    name: str
    value: float


service = Service("Idle")


@service.command
async def echo(ctx: Context, payload: Payload) -> Payload:  # noqa: ARG001 - a handler's signature
    """Gives back what it got."""
    return payload


@service.subscription(Event("measured", Payload))
async def watch(ctx: Context, payload: Payload) -> None:
    """Does nothing."""


def _collect(*_: object) -> None:
    gc.collect()
    # Not by sys.stderr: the signal may have come while that writes, and it refuses to be entered twice.
    os.write(2, f"{COLLECTED}\n".encode())


@asynccontextmanager
async def _collecting() -> AsyncIterator[None]:
    before = signal.signal(signal.SIGUSR1, _collect)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


app = App(service, resources=_collecting)
