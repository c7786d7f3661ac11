"""A device that lives through a day in a minute or so: what it measures goes up as it is, or prepared.

Both ways run on ``memory://`` with an uplink. Time is that of the recorded series, which is repeated until the day is
over. Run by ``benches.day``.
"""

from __future__ import annotations

import csv
import gc
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
from msgspec import Struct

from purista_fast import App, Batch, Client, Context, Event, Service
from purista_fast.prepare import Closed, DeadBand, Tumbling

__all__ = ("DAY", "SENSORS", "SERIES", "samples")

SERIES = Path(__file__).parents[1] / "tests" / "data" / "machine.csv"
SENSORS = ("busy", "load", "available", "switches")
DAY = 86_400
_WINDOW, _SILENCE = 60.0, 900.0


class Sample(Struct, frozen=True):
    """A reading."""

    sensor: str
    at: float
    value: float


class Digest(Struct, frozen=True):
    """What a sensor said within a window."""

    sensor: str
    since: float
    count: int
    mean: float
    min: float
    max: float
    last: float


sample, digest = Event("sample", Sample), Event("digest", list[Digest])
probe, digester = Service("Probe"), Service("Digester")
windows = Tumbling(_WINDOW)
band = DeadBand(percent=5.0, absolute=0.5, max_silence=_SILENCE)


@digester.subscription(sample, batch=Batch(1000, within=1.0))
async def take(ctx: Context, payload: list[Sample]) -> None:
    closed: list[Closed] = []
    for one in payload:
        closed += windows.add(one.sensor, one.at, one.value)
    await tell(ctx, closed)


async def tell(ctx: Context | Client, closed: list[Closed]) -> None:
    """Tells of the windows whose mean has changed, or was not told for long."""
    found = [
        Digest(one.key, one.start, one.count, round(one.mean, 2), one.min, one.max, one.last)
        for one in closed
        if band.passes(one.key, one.end, one.mean)
    ]
    if found:
        await ctx.emit(digest, found)


def samples(seconds: int) -> Iterator[list[Sample]]:
    """What is measured: a list for each second."""
    with SERIES.open(encoding="ascii") as file:
        rows = [[float(row[name]) for name in SENSORS] for row in csv.DictReader(file)]
    for second in range(seconds):
        row = rows[second % len(rows)]
        yield [Sample(name, float(second), value) for name, value in zip(SENSORS, row, strict=True)]


async def live(client: Client, what: dict[str, Any]) -> dict[str, Any]:
    """Emits a day's samples, waits until all is up, and returns what that took."""
    gc.collect()
    began = time.process_time()
    peak = 0
    for number, found in enumerate(samples(what["seconds"])):
        for one in found:
            await client.emit(sample, one)
        if number % 1000 == 0:
            peak = max(peak, pss())
    if what["prepared"]:
        await tell(client, windows.flush())
    while left(client):
        await anyio.sleep(0.05)
    cpu = time.process_time() - began
    return {"cpu": cpu, "pss": max(peak, pss()), "events": client.statistics()["uplink"]["up"]["taken"]}


def left(client: Client) -> int:
    """How many events have not gone up, or may not have."""
    statistics = client.statistics()
    waiting = sum(queue["waiting"] + queue["running"] for queue in statistics["subscriptions"].values())
    outbox = statistics["uplink"]["outbox"]
    count: int = waiting + outbox["messages"] - outbox["held"]
    return count


def pss() -> int:
    """The proportional set size of this process, in bytes."""
    for line in Path("/proc/self/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the kernel tells no proportional set size")


async def main(what: dict[str, Any]) -> None:
    services = (probe, digester) if what["prepared"] else (probe,)
    settings = {
        "bridge": {"url": "memory://", "instance_id": "device"},
        "storage": {"state_dir": what["state"]},
        "uplink": {
            "url": f"mqtt://127.0.0.1:{what['port']}",
            "events": ["digest" if what["prepared"] else "sample"],
            # A day in a minute: more waits at once than ever would.
            "outbox": {"max_messages": 10_000_000, "max_bytes": 4_000_000_000},
        },
    }
    async with App(*services, name="day").serve(overrides=settings) as client:
        while not client.statistics()["uplink"]["connected"]:
            await anyio.sleep(0.01)
        found = await live(client, what)
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    anyio.run(main, json.loads(sys.argv[1]))
