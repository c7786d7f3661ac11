"""What F1 measures: one more while many are there already."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import anyio
import anyio.lowlevel

from purista_fast import App, Context, Event, Service
from purista_fast._core import Pending, new_id
from purista_fast.bench.dispatch import PAYLOAD, Counter, Payload, Served, serve
from purista_fast.bench.timing import take
from purista_fast.config import Settings

from .crowd import crowd

__all__ = ("SUBJECTS", "Subject")

TIMEOUT = 3000.0
"""Of what is pending and of what comes, in seconds: as with the default, which callgrind would not stay below, the
latest ends last."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Something of which there can be many."""

    grow: Callable[[int], Awaitable[None]]
    """Makes them so many; never called with fewer than there are."""
    work: Callable[[int], Awaitable[None]]
    """Does so many times what begins and ends one more."""


@asynccontextmanager
async def invocations() -> AsyncIterator[Subject]:
    """Commands in memory whose handlers wait, so that each has its timer running."""
    service = Service("Waits")
    waiting = 0

    @service.command
    async def for_ever(ctx: Context) -> None:
        nonlocal waiting
        waiting += 1
        await asyncio.get_running_loop().create_future()

    @service.command
    async def a_moment(ctx: Context, payload: Payload) -> Payload:
        await anyio.lowlevel.checkpoint()
        return payload

    async with App(service).serve(settings=Settings()) as client:
        tasks: list[asyncio.Task[None]] = []

        async def invoke() -> None:
            await client.invoke(for_ever.using(timeout=TIMEOUT))

        async def grow(to: int) -> None:
            tasks.extend(asyncio.create_task(invoke()) for _ in range(to - waiting))
            while waiting < to:
                await anyio.lowlevel.checkpoint()

        async def work(count: int) -> None:
            for _ in range(count):
                await client.invoke(a_moment.using(timeout=TIMEOUT), PAYLOAD)

        yield Subject(grow, work)


@asynccontextmanager
async def calls() -> AsyncIterator[Subject]:
    """Commands that travel: what the MQTT bridge keeps of each until its answer comes."""
    pending = Pending()
    now = 0.0

    async def grow(to: int) -> None:
        nonlocal now
        while len(pending) < to:
            now += 1e-4
            pending.insert(new_id(), None, now + TIMEOUT)

    async def work(count: int) -> None:
        nonlocal now
        for _ in range(count):
            now += 1e-4
            id = new_id()
            pending.insert(id, None, now + TIMEOUT)
            pending.remove(id)

    yield Subject(grow, work)


@asynccontextmanager
async def subscriptions() -> AsyncIterator[Subject]:
    """Subscriptions of one application, one of which gets the event. For more of them it is served anew."""
    async with AsyncExitStack() as stack:
        served: Served | None = None

        async def grow(to: int) -> None:
            nonlocal served
            await stack.aclose()
            served = await stack.enter_async_context(serve(crowd(to - 1, 0)))

        async def work(count: int) -> None:
            assert served is not None
            await take(served.emit, count)

        yield Subject(grow, work)


@asynccontextmanager
async def events() -> AsyncIterator[Subject]:
    """Events in the queue of one subscription, whose handler takes one when it may."""
    service = Service("Takes")
    event = Event("measured", Payload)
    counter = Counter()
    may = anyio.Semaphore(0)
    queued = 0

    @service.subscription(event, queue_size=1_000_000)
    async def take_one(ctx: Context, payload: Payload) -> None:
        await may.acquire()
        counter.one()

    async with App(service).serve(settings=Settings()) as client:

        async def grow(to: int) -> None:
            nonlocal queued
            while queued < to:
                await client.emit(event, PAYLOAD)
                queued += 1

        async def work(count: int) -> None:
            counter.expect(count)
            for _ in range(count):
                await client.emit(event, PAYLOAD)
                may.release()
            await counter.all.wait()

        yield Subject(grow, work)


SUBJECTS: dict[str, Callable[[], AbstractAsyncContextManager[Subject]]] = {
    "pending invocations": invocations,
    "calls that travel": calls,
    "subscriptions": subscriptions,
    "queued events": events,
}
