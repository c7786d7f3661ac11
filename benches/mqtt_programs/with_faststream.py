"""FastStream over MQTT 5: QoS 1, payloads validated by pydantic, events acknowledged after their handler."""

from __future__ import annotations

import gc
import logging
from time import perf_counter
from typing import Any

import anyio
from faststream import AckPolicy
from faststream.mqtt import MQTTBroker, QoS
from pydantic import BaseModel

from benches.mqtt_programs.common import ECHO, EVENT, PAYLOAD, jobs, say, settings


class Payload(BaseModel):
    id: int
    name: str
    value: float


payload_sent = Payload(**PAYLOAD)


class Counter:
    left = 0
    all = anyio.Event()


async def many(step: Any, count: int, in_flight: int) -> float:
    async def some() -> None:
        for _ in range(count // in_flight):
            await step()

    started = perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(in_flight):
            tasks.start_soon(some)
    return perf_counter() - started


async def main(what: dict[str, Any]) -> None:
    broker = MQTTBroker(
        f"mqtt://127.0.0.1:{what['port']}",
        client_id=what["role"],
        version="5.0",
        ack_policy=AckPolicy.NACK_ON_ERROR,
        logger=logging.getLogger("peer"),
    )
    if what["role"] == "consumer":

        @broker.subscriber(EVENT, qos=QoS.AT_LEAST_ONCE)
        async def count_event(payload: Payload) -> None:
            Counter.left -= 1
            if not Counter.left:
                Counter.all.set()

    if what["role"] == "server":

        @broker.subscriber(ECHO, qos=QoS.AT_LEAST_ONCE)
        async def echo(payload: Payload) -> Payload:
            return payload

    async def emit() -> None:
        await broker.publish(payload_sent, EVENT, qos=QoS.AT_LEAST_ONCE)

    async def call() -> None:
        answer = await broker.request(payload_sent, ECHO, qos=QoS.AT_LEAST_ONCE, timeout=30.0)
        Payload.model_validate(await answer.decode())

    await broker.start()
    say("ready")
    async for job in jobs():
        gc.collect()
        if job["do"] == "consume":
            Counter.left, Counter.all = job["count"], anyio.Event()
            say("counting")
            await Counter.all.wait()
            say("all")
        else:
            say(await many(emit if job["do"] == "emit" else call, job["count"], job["in_flight"]))
    await broker.stop()


if __name__ == "__main__":
    anyio.run(main, settings())
