"""Emits numbered events, and writes down each attempt, confirmation and failure; ends when its input does.

Its settings: ``emitter`` (its name), ``records`` (a folder), ``tree`` (settings of purista-fast), ``events`` (name ->
options of the event), ``start`` (the first number), ``count`` (how many; unset: until told to stop), ``rate`` (a
second; 0: as fast as it goes), ``tasks`` (how many emit at the same time), ``size`` (bytes), ``first_packet_id``.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import count
from typing import Any

import anyio
from anyio.abc import TaskGroup

from purista_fast import App, Client, Event, PuristaError
from tests.faults import records
from tests.faults.programs.common import commands, payload_of, say


class Emitter:
    def __init__(self, what: dict[str, Any], client: Client, tasks: TaskGroup) -> None:
        self.what = what
        self.client = client
        self.name: str = what["emitter"]
        self.journal = records.Journal(what["records"], self.name)
        self.events = [Event(name, Any, **options) for name, options in what.get("events", {"tick": {}}).items()]
        self.numbers = count(what.get("start", 0))
        self.left: int | None = what.get("count")
        self.size: int = what.get("size", 120)
        self.rate: float = what.get("rate", 0)
        self.due = time.monotonic()
        self.live_left = 0
        self.tasks = tasks
        self.confirmed = 0
        self.failed: dict[str, int] = {}

    def spawn(self, rate: float) -> None:
        """Emits the event ``live`` beside all else, ``rate`` times a second."""
        self.live_left = 1
        self.tasks.start_soon(self.emit_live, rate)

    async def emit_live(self, rate: float) -> None:
        event = Event("live", Any)
        while self.live_left:
            await self.emit(event, next(self.numbers))
            await anyio.sleep(1 / rate)

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(self.what.get("tasks", 1)):
                tasks.start_soon(self.emit_all)
        say("done", self.confirmed, self.failed)

    async def emit_all(self) -> None:
        while self.left is None or self.left > 0:
            if self.left is not None:
                self.left -= 1
            if self.rate:
                # Those that wait share one timetable, and a stall is not made up for by a burst.
                self.due = max(self.due + 1 / self.rate, time.monotonic() - 0.1)
                await anyio.sleep(max(0.0, self.due - time.monotonic()))
            number = next(self.numbers)
            if not await self.emit(self.events[number % len(self.events)], number):
                await anyio.sleep(0.01)

    async def emit(self, event: Event[Any], number: int, size: int | None = None) -> bool:
        payload = payload_of(self.name, number, self.size if size is None else size)
        fingerprint = records.digest(payload)
        self.journal.write(records.ATTEMPTED, self.name, event.name, number, fingerprint)
        try:
            await self.client.emit(event, payload)
        except PuristaError as error:
            status = str(int(getattr(error, "status", 0)))
            self.journal.write(records.FAILED, self.name, event.name, number, fingerprint, status)
            if status not in self.failed:
                say("failed", number, status, str(error))
            self.failed[status] = self.failed.get(status, 0) + 1
            return False
        self.journal.write(records.CONFIRMED, self.name, event.name, number, fingerprint)
        self.confirmed += 1
        if self.confirmed == 1:
            say("first", number)
        return True


async def obey(emitter: Emitter, stop: anyio.CancelScope) -> None:
    """Does what the test says."""
    async for command, *words in commands():
        if command == "statistics":
            say("statistics", emitter.client.statistics())
        elif command == "one":
            number = next(emitter.numbers)
            size = words[0] if words else None
            say("one", await emitter.emit(emitter.events[number % len(emitter.events)], number, size))
        elif command == "counts":
            say("counts", {"confirmed": emitter.confirmed, "failed": emitter.failed})
        elif command == "live":
            emitter.spawn(words[0])
            say("live", words[0])
        elif command == "halt":
            emitter.left = emitter.live_left = 0
            say("halt", emitter.confirmed)
        else:
            raise ValueError(f"what is {command!r}?")
    stop.cancel()


def begin_packet_ids_at(first: int) -> None:
    """Has each connection begin near the end of the packet ids, so that they wrap soon."""
    import paho.mqtt.client as paho

    begin = paho.Client.__init__

    def started(client: Any, *arguments: Any, **options: Any) -> None:
        begin(client, *arguments, **options)
        client._last_mid = first

    paho.Client.__init__ = started  # type: ignore[method-assign]


async def main(what: dict[str, Any]) -> None:
    if "first_packet_id" in what:
        begin_packet_ids_at(what["first_packet_id"])
    # An application without services: unlike a client of connect() it has a name of its own to come back under.
    async with App(name="Edge").serve(overrides=what["tree"]) as client, anyio.create_task_group() as tasks:
        emitter = Emitter(what, client, tasks)
        say("ready", client.instance_id)
        tasks.start_soon(emitter.run)
        tasks.start_soon(obey, emitter, tasks.cancel_scope)
    say("stopped")


if __name__ == "__main__":
    anyio.run(main, json.loads(sys.argv[1]), backend=sys.argv[2])
