"""purista-fast: an application in each process, with its state on disk, its defaults, and all that it promises."""

from __future__ import annotations

import gc
from time import perf_counter
from typing import Any

import anyio
import msgspec

from benches.mqtt_programs.common import ECHO, EVENT, NAME, PAYLOAD, jobs, say, settings
from purista_fast import App, Client, Context, Event, Service, remote


class Payload(msgspec.Struct):
    id: int
    name: str
    value: float


payload_sent = Payload(**PAYLOAD)
measured: Event[Payload] = Event(EVENT, Payload)
emitter, consumer, server = Service("Emitter"), Service("Consumer"), Service(NAME)


class Counter:
    """Counts events, and tells when all have come."""

    left = 0
    all = anyio.Event()


@emitter.command
async def emit_many(ctx: Context, payload: int, *, in_flight: int) -> float:
    async def emit() -> None:
        for _ in range(payload // in_flight):
            await ctx.emit(measured, payload_sent)

    started = perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(in_flight):
            tasks.start_soon(emit)
    return perf_counter() - started


@consumer.subscription(measured)
async def count_event(ctx: Context, payload: Payload) -> None:
    Counter.left -= 1
    if not Counter.left:
        Counter.all.set()


@server.command(name=ECHO)
async def serve_echo(ctx: Context, payload: Payload) -> Payload:
    return payload


@remote(NAME, "1", name=ECHO)
async def echo(ctx: Context, payload: Payload) -> Payload: ...


async def call_one_by_one(client: Client, count: int) -> list[float]:
    """How long each call took, in seconds."""
    times = []
    for _ in range(count):
        started = perf_counter()
        await client.invoke(echo, payload_sent)
        times.append(perf_counter() - started)
    return times


async def call_at_once(client: Client, count: int, in_flight: int) -> float:
    """How long all calls took, in seconds."""

    async def call() -> None:
        for _ in range(count // in_flight):
            await client.invoke(echo, payload_sent)

    started = perf_counter()
    async with anyio.create_task_group() as tasks:
        for _ in range(in_flight):
            tasks.start_soon(call)
    return perf_counter() - started


async def work(client: Client) -> None:
    async for job in jobs():
        gc.collect()
        count = job["count"]
        if job["do"] == "emit":
            # Served in this process, so that the events come from a handler.
            say(await client.invoke(emit_many.using(timeout=600.0), count, in_flight=job["in_flight"]))
        elif job["do"] == "consume":
            Counter.left, Counter.all = count, anyio.Event()
            say("counting")
            await Counter.all.wait()
            say("all")
        elif job["in_flight"] == 1:
            say(await call_one_by_one(client, count))
        else:
            say(await call_at_once(client, count, job["in_flight"]))


async def main(what: dict[str, Any]) -> None:
    services = {"emitter": (emitter,), "consumer": (consumer,), "server": (server,), "caller": ()}[what["role"]]
    bridge = {"url": f"mqtt://127.0.0.1:{what['port']}", "instance_id": what["role"]}
    if "transport" in what:
        bridge["transport"] = what["transport"]
    overrides = {"bridge": bridge, "storage": {"state_dir": what["state"]}}
    async with App(*services, name=what["role"]).serve(overrides=overrides) as client:
        say("ready")
        await work(client)


if __name__ == "__main__":
    told = settings()
    anyio.run(main, told, backend=told.get("backend", "asyncio"))
