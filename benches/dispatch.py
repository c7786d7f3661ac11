"""A: commands and events in memory.

Every side encodes the payload (and the result) to JSON with msgspec and decodes it into its type on arrival, so
that it is validated; purista-fast runs with its default timeout, traces and routing on top of that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

import anyio
import msgspec

from purista_fast import App, Context, Event, Service

from .harness import Case, Goal, Result, Wanted, measure

__all__ = ("results",)


class Payload(msgspec.Struct):
    id: int
    name: str
    value: float


PAYLOAD = Payload(1, "sensor-temperature-01", 23.5)
QUEUE = 1000

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Payload).decode
measured: Event[Payload] = Event("measured", Payload)
service = Service("Bench")


class Counter:
    """Counts events, and tells when all have come."""

    def __init__(self) -> None:
        self.expect(0)

    def expect(self, count: int) -> None:
        self.left = count
        self.all = anyio.Event()

    def one(self) -> None:
        self.left -= 1
        if not self.left:
            self.all.set()


counter = Counter()


@service.command
async def echo(ctx: Context, payload: Payload) -> Payload:
    return payload


@service.subscription(measured)
async def count_event(ctx: Context, payload: Payload) -> None:
    counter.one()


@service.command
async def invoke_many(ctx: Context, payload: int) -> float:
    started = perf_counter()
    for _ in range(payload):
        await ctx.invoke(echo, PAYLOAD)
    return perf_counter() - started


@service.command
async def emit_many(ctx: Context, payload: int) -> float:
    counter.expect(payload)
    started = perf_counter()
    for _ in range(payload):
        await ctx.emit(measured, PAYLOAD)
    await counter.all.wait()
    return perf_counter() - started


async def handler(payload: Payload) -> Payload:
    return payload


async def floor(count: int) -> float:
    """Encode and decode payload and result, and a bare await of the handler."""
    started = perf_counter()
    for _ in range(count):
        decode(encode(await handler(decode(encode(PAYLOAD)))))
    return perf_counter() - started


async def future_worker(count: int) -> float:
    """A worker behind an asyncio.Queue answers through a Future."""
    queue: asyncio.Queue[tuple[bytes, asyncio.Future[bytes]]] = asyncio.Queue(QUEUE)

    async def work() -> None:
        while True:
            data, answer = await queue.get()
            answer.set_result(encode(await handler(decode(data))))

    worker = asyncio.create_task(work())
    new_future = asyncio.get_running_loop().create_future
    started = perf_counter()
    for _ in range(count):
        future: asyncio.Future[bytes] = new_future()
        await queue.put((encode(PAYLOAD), future))
        decode(await future)
    seconds = perf_counter() - started
    worker.cancel()
    return seconds


def queue_worker(*, is_checked: bool) -> Any:
    """A worker behind an asyncio.Queue takes events.

    :param is_checked: whether the emitter makes sure that the payload fits its type, as ``ctx.emit`` does.
    """

    async def timed(count: int) -> float:
        queue: asyncio.Queue[bytes] = asyncio.Queue(QUEUE)
        counter = Counter()

        async def handle(payload: Payload) -> None:
            counter.one()

        async def work() -> None:
            while True:
                await handle(decode(await queue.get()))

        worker = asyncio.create_task(work())
        counter.expect(count)
        started = perf_counter()
        for _ in range(count):
            data = encode(PAYLOAD)
            if is_checked:
                decode(data)
            await queue.put(data)
        await counter.all.wait()
        seconds = perf_counter() - started
        worker.cancel()
        return seconds

    return timed


def results(wanted: Wanted) -> Iterator[Result]:
    """A1 on both event loops; A2 and A4 on asyncio."""
    for backend in ("asyncio", "trio"):
        if any(map(wanted, ("A1", "A2", "A4"))):
            yield from anyio.run(_measure, backend, wanted, backend=backend)


async def _measure(backend: str, wanted: Wanted) -> list[Result]:
    async with cases(backend) as found:
        return [await measure(case) for case in found if wanted(case.id)]


@asynccontextmanager
async def cases(backend: str) -> AsyncIterator[list[Case]]:
    """The cases for the running event loop; those against asyncio.Queue exist on asyncio alone."""
    async with App(service).serve(bridge="memory://") as client:

        async def invoke(count: int) -> float:
            return await client.invoke(invoke_many.using(timeout=600.0), count)

        async def emit(count: int) -> float:
            return await client.invoke(emit_many.using(timeout=600.0), count)

        against_floor = Case(
            id="A1",
            what=f"invoke, {backend}",
            ours=invoke,
            peers={"msgspec and a bare await": floor},
            goal=Goal(1.6, "at most") if backend == "asyncio" else None,
        )
        if backend != "asyncio":
            yield [against_floor]
            return
        yield [
            against_floor,
            Case(
                id="A2",
                what="invoke, asyncio",
                ours=invoke,
                peers={"asyncio.Queue + Future": future_worker},
                goal=Goal(3.0, "faster"),
            ),
            Case(
                id="A4",
                what="emit and handle, asyncio",
                ours=emit,
                peers={"asyncio.Queue, checked at both ends": queue_worker(is_checked=True)},
                goal=Goal(1.2, "at most"),
            ),
            Case(
                id="A4",
                what="emit and handle, asyncio",
                ours=emit,
                peers={"asyncio.Queue, checked by the consumer only": queue_worker(is_checked=False)},
                goal=None,
            ),
        ]
