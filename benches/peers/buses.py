"""A3's peers: a command and its answer in memory, payload and result validated, by FastStream and by bubus.

Runs under the peers' Python, without purista-fast: ``python buses.py NAME`` writes a line when it is ready, then does
the work so often as each line of its standard input says, and writes the seconds that took.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

import msgspec

Call = Callable[[], Awaitable[Any]]


class Payload(msgspec.Struct):
    id: int
    name: str
    value: float


PAYLOAD = Payload(1, "sensor-temperature-01", 23.5)


@asynccontextmanager
async def faststream() -> AsyncIterator[Call]:
    """Its test broker, which serves within the process; validated by msgspec, as purista-fast does."""
    from fast_depends.msgspec import MsgSpecSerializer
    from faststream.mqtt import MQTTBroker, TestMQTTBroker

    decode = msgspec.json.Decoder(Payload).decode
    broker = MQTTBroker(serializer=MsgSpecSerializer(), logger=None)

    @broker.subscriber("echo")
    async def echo(payload: Payload) -> Payload:
        return payload

    async def call() -> Payload:
        answer = await broker.request(PAYLOAD, "echo", timeout=30.0)
        return decode(answer.body)

    async with TestMQTTBroker(broker):
        yield call


@asynccontextmanager
async def bubus() -> AsyncIterator[Call]:
    """An event whose fields pydantic validates, and its result."""
    from bubus import BaseEvent, EventBus
    from pydantic import BaseModel

    class Result(BaseModel):
        id: int
        name: str
        value: float

    class Echo(BaseEvent[Result]):
        event_result_type: Any = Result
        number: int
        name: str
        value: float

    async def echo(event: Echo) -> Result:
        return Result(id=event.number, name=event.name, value=event.value)

    bus = EventBus(name="Bench")
    bus.on(Echo, echo)

    async def call() -> Result | None:
        event = bus.dispatch(Echo(number=PAYLOAD.id, name=PAYLOAD.name, value=PAYLOAD.value))
        return await (await event).event_result()

    yield call
    await bus.stop(timeout=1, clear=True)


BUSES = {"faststream": faststream, "bubus": bubus}


async def main(name: str) -> None:
    logging.disable(logging.WARNING)
    async with BUSES[name]() as call:
        answer = await call()
        if (answer.id, answer.name, answer.value) != (PAYLOAD.id, PAYLOAD.name, PAYLOAD.value):
            raise AssertionError(f"{name} answers {answer}")
        print("ready", flush=True)
        while line := sys.stdin.readline():
            count = int(line)
            started = perf_counter()
            for _ in range(count):
                await call()
            print(perf_counter() - started, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
