"""Commands and events in memory: payload and result are encoded to JSON, decoded into their types, and so validated.

The default timeout is active, as are traces and routing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter

import anyio
import msgspec

from ..app import App
from ..config import Settings
from ..context import Context
from ..definition import Event
from ..service import Service
from .timing import Timed

__all__ = ("FAN_OUT", "PAYLOAD", "Counter", "Payload", "Served", "serve")

FAN_OUT = 100
"""How many subscriptions get an event that is fanned out."""
_TIMEOUT = 600.0


class Payload(msgspec.Struct):
    """What is sent."""

    id: int
    name: str
    value: float


PAYLOAD = Payload(1, "sensor-temperature-01", 23.5)
"""The one that is sent."""


class Counter:
    """Counts events, and tells when all have come."""

    def __init__(self) -> None:
        self.expect(0)

    def expect(self, count: int) -> None:
        """Begins anew, to wait for so many."""
        self._left = count
        self.all = anyio.Event()

    def one(self) -> None:
        """One has come."""
        self._left -= 1
        if not self._left:
            self.all.set()


_counter = Counter()
_measured: Event[Payload] = Event("measured", Payload)
_fanned_out: Event[Payload] = Event("fannedOut", Payload)
_service = Service("Bench")
_fan = Service("Fan")


@_service.command
async def _echo(ctx: Context, payload: Payload) -> Payload:  # noqa: ARG001 - a handler's signature
    return payload


@_service.subscription(_measured)
async def _count(ctx: Context, payload: Payload) -> None:  # noqa: ARG001 - as above
    _counter.one()


@_service.command
async def _invoke_many(ctx: Context, payload: int) -> float:
    started = perf_counter()
    for _ in range(payload):
        await ctx.invoke(_echo, PAYLOAD)
    return perf_counter() - started


@_service.command
async def _emit_many(ctx: Context, payload: int) -> float:
    return await _emit(ctx, _measured, payload, payload)


@_fan.command
async def _fan_out_many(ctx: Context, payload: int) -> float:
    return await _emit(ctx, _fanned_out, payload, payload * FAN_OUT)


async def _emit(ctx: Context, event: Event[Payload], count: int, deliveries: int) -> float:
    """The seconds until all have been handled."""
    _counter.expect(deliveries)
    started = perf_counter()
    for _ in range(count):
        await ctx.emit(event, PAYLOAD)
    await _counter.all.wait()
    return perf_counter() - started


for _number in range(FAN_OUT):

    @_fan.subscription(_fanned_out, name=f"count{_number}")
    async def _count_one(ctx: Context, payload: Payload) -> None:  # noqa: ARG001 - as above
        _counter.one()


@dataclass(frozen=True, slots=True)
class Served:
    """What can be measured while the services run."""

    invoke: Timed
    """A command invoked by a handler, one after the other."""
    emit: Timed
    """An event emitted by a handler, until its one subscription has handled it."""
    fan_out: Timed
    """The same with :data:`FAN_OUT` subscriptions; counted are deliveries, not events."""


@asynccontextmanager
async def serve(*others: Service) -> AsyncIterator[Served]:
    """Runs the services within the block, with the default settings whatever is configured here.

    :param others: what is served beside :attr:`Served.invoke` and :attr:`Served.emit`, in the same application.
    """
    async with (
        App(_service, *others).serve(settings=Settings()) as client,
        App(_fan).serve(settings=Settings()) as other,
    ):

        async def invoke(count: int) -> float:
            return await client.invoke(_invoke_many.using(timeout=_TIMEOUT), count)

        async def emit(count: int) -> float:
            return await client.invoke(_emit_many.using(timeout=_TIMEOUT), count)

        async def fan_out(count: int) -> float:
            events = -(-count // FAN_OUT)
            seconds = await other.invoke(_fan_out_many.using(timeout=_TIMEOUT), events)
            return seconds * count / (events * FAN_OUT)

        yield Served(invoke, emit, fan_out)
