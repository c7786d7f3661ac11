"""The peer that is measured: FastStream over MQTT 5 at QoS 1, payloads validated by pydantic.

``python probe_faststream.py PORT ROLE``; the role ``consumer`` subscribes, ``emitter`` emits ``FOOTPRINT_RATE`` events
a second: what is due, at most a hundred times a second.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time

from faststream import FastStream
from faststream.mqtt import MQTTBroker, QoS
from pydantic import BaseModel

RATE = float(os.environ.get("FOOTPRINT_RATE", "0"))
PORT, ROLE = sys.argv[1:]


class Reading(BaseModel):
    id: int
    name: str
    value: float


class Counter:
    emitted = 0
    handled = 0
    task: asyncio.Task[None] | None = None


broker = MQTTBroker(f"mqtt://127.0.0.1:{PORT}", client_id=ROLE, version="5.0", logger=logging.getLogger("peer"))
app = FastStream(broker)


def say(text: str) -> None:
    # Not by sys.stderr: a signal's handler may come while that writes, and it refuses to be entered twice.
    os.write(2, f"{text}\n".encode())


if ROLE == "consumer":

    @broker.subscriber("measured", qos=QoS.AT_LEAST_ONCE)
    async def watch(payload: Reading) -> None:
        Counter.handled += 1


async def emit() -> None:
    Counter.emitted += 1
    payload = Reading(id=Counter.emitted, name="sensor-temperature-01", value=23.5)
    await broker.publish(payload, "measured", qos=QoS.AT_LEAST_ONCE)


async def keep_the_rate() -> None:
    since = time.monotonic() - 1 / RATE
    while True:
        due = int((time.monotonic() - since) * RATE) - Counter.emitted
        async with asyncio.TaskGroup() as tasks:
            for _ in range(due):
                tasks.create_task(emit())
        await asyncio.sleep(max(1 / RATE, 0.01))


@app.after_startup
async def ready() -> None:
    say("is ready")
    if ROLE == "emitter":
        Counter.task = asyncio.create_task(keep_the_rate())


@app.on_shutdown
async def tell() -> None:
    if Counter.task is not None:
        Counter.task.cancel()
    say(f"handled {Counter.handled}, emitted {Counter.emitted}")


asyncio.run(app.run())
