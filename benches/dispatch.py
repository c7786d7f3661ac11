"""A: commands and events in memory.

Every side encodes the payload (and the result) to JSON with msgspec and decodes it into its type on arrival, so
that it is validated; purista-fast runs with its default timeout, traces and routing on top of that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import anyio
import msgspec

from purista_fast.bench.dispatch import FAN_OUT, PAYLOAD, Counter, Payload, Served, serve

from .harness import Case, Goal, Result, Wanted, measure

__all__ = ("results",)

QUEUE = 1000

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Payload).decode


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
    """On asyncio all of them; on trio what does not need an asyncio.Queue as its peer, without goals."""
    for backend in ("asyncio", "trio"):
        for id, make in ON_ASYNCIO if backend == "asyncio" else ON_TRIO:
            if wanted(id):
                yield anyio.run(_measure, make, backend, backend=backend)


async def _measure(make: Callable[[Served, str], Case], backend: str) -> Result:
    async with serve() as ours:
        return await measure(make(ours, backend))


def against_floor(ours: Served, backend: str) -> Case:
    return Case(
        id="A1",
        what=f"invoke, {backend}",
        ours=ours.invoke,
        peers={"msgspec and a bare await": floor},
        goal=Goal(1.6, "at most") if backend == "asyncio" else None,
    )


def against_queue(ours: Served, backend: str) -> Case:
    return Case(
        id="A2",
        what=f"invoke, {backend}",
        ours=ours.invoke,
        peers={"asyncio.Queue + Future": future_worker},
        goal=Goal(3.0, "faster"),
    )


def checked(ours: Served, backend: str) -> Case:
    return Case(
        id="A4",
        what=f"emit and handle, {backend}",
        ours=ours.emit,
        peers={"asyncio.Queue, checked at both ends": queue_worker(is_checked=True)},
        goal=Goal(1.2, "at most"),
    )


def unchecked(ours: Served, backend: str) -> Case:
    return Case(
        id="A4",
        what=f"emit and handle, {backend}",
        ours=ours.emit,
        peers={"asyncio.Queue, checked by the consumer only": queue_worker(is_checked=False)},
        goal=None,
    )


def fanned_out(ours: Served, backend: str) -> Case:
    """The peer is our own event to one subscription, in the same rounds."""
    return Case(
        id="A6",
        what=f"emit to {FAN_OUT}, a delivery, {backend}",
        ours=ours.fan_out,
        peers={"A4, ours": ours.emit},
        goal=Goal(1.0, "at most") if backend == "asyncio" else None,
    )


def alone(ours: Served, backend: str) -> Case:
    return Case(id="A4", what=f"emit and handle, {backend}", ours=ours.emit, peers={}, goal=None)


ON_ASYNCIO = (("A1", against_floor), ("A2", against_queue), ("A4", checked), ("A4", unchecked), ("A6", fanned_out))
ON_TRIO = (("A1", against_floor), ("A4", alone), ("A6", fanned_out))
