"""The application that is measured: ``Emitter`` emits validated events, ``Consumer`` handles them.

``purista-fast run probe:app`` runs both in one process, ``PURISTA_SERVICES__ENABLED`` one of them. It has no other
knobs than these variables:

- ``FOOTPRINT_RATE``: events a second, emitted by a timer: what is due, at most a hundred times a second.
- ``FOOTPRINT_COUNT``: so many events at once, 100 under way at a time. Emitter and consumer say when all are through.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import msgspec

from purista_fast import App, Context, Event, Service

RATE = float(os.environ.get("FOOTPRINT_RATE", "0"))
COUNT = int(os.environ.get("FOOTPRINT_COUNT", "0"))
IN_FLIGHT = 100


class Reading(msgspec.Struct):
    id: int
    name: str
    value: float


measured: Event[Reading] = Event("measured", Reading)
emitter, consumer = Service("Emitter"), Service("Consumer")


class Counter:
    emitted = 0
    handled = 0
    since = 0.0


def say(text: str) -> None:
    # Not by sys.stderr: a signal's handler may come while that writes, and it refuses to be entered twice.
    os.write(2, f"{text}\n".encode())


@consumer.subscription(measured)
async def watch(ctx: Context, payload: Reading) -> None:
    Counter.handled += 1
    if Counter.handled == COUNT:
        say("all handled")


async def emit(ctx: Context, count: int) -> None:
    for _ in range(count):
        Counter.emitted += 1
        await ctx.emit(measured, Reading(Counter.emitted, "sensor-temperature-01", 23.5))


async def emit_at_once(ctx: Context, count: int, in_flight: int) -> None:
    async with anyio.create_task_group() as tasks:
        for number in range(in_flight):
            tasks.start_soon(emit, ctx, count // in_flight + (number < count % in_flight))


if RATE:

    @emitter.every(max(1 / RATE, 0.01))
    async def keep_the_rate(ctx: Context) -> None:
        Counter.since = Counter.since or time.monotonic() - 1 / RATE
        due = int((time.monotonic() - Counter.since) * RATE) - Counter.emitted
        await emit_at_once(ctx, due, min(due, IN_FLIGHT))


if COUNT:

    @emitter.every(0.1)
    async def emit_all(ctx: Context) -> None:
        if not Counter.emitted:
            await emit_at_once(ctx, COUNT, IN_FLIGHT)
            say("all emitted")


@asynccontextmanager
async def telling() -> AsyncIterator[None]:
    yield
    say(f"handled {Counter.handled}, emitted {Counter.emitted}")


app = App(emitter, consumer, name="probe", resources=telling)
