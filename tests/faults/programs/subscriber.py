"""Handles numbered events, and writes down each; ends when its input does.

Its settings: ``consumer`` (its name), ``records`` (a folder), ``tree`` (settings of purista-fast), ``service``, and
``subscriptions``: a list of tables with ``event``, ``name``, ``options`` of the subscription (``retry`` as a table),
and how the handler behaves: ``work`` (seconds that it takes), ``fail_first`` (how many attempts of each message fail),
``fail`` (numbers that always fail), ``die`` (numbers that kill the process), ``every`` (only each n-th number behaves
so).
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from collections import Counter
from typing import Any

import anyio

from purista_fast import App, Client, Context, Event, Service
from purista_fast.policy import Retry
from tests.faults import records
from tests.faults.programs.common import commands, say


def subscribe(service: Service, journal: records.Journal, options: dict[str, Any]) -> None:
    event = options["event"]
    given = dict(options.get("options", {}))
    if "retry" in given:
        given["retry"] = Retry(**given["retry"])
    attempts: Counter[tuple[str, int]] = Counter()
    work, first, every = options.get("work", 0.0), options.get("fail_first", 0), options.get("every", 1)
    fail, die = set(options.get("fail", ())), set(options.get("die", ()))

    @service.subscription(Event(event, Any), name=options.get("name", "on"), **given)
    async def on(ctx: Context, payload: Any) -> None:
        emitter, number = payload["emitter"], payload["number"]
        line = (emitter, event, number, records.digest(payload), ctx.message.id)
        journal.write(records.STARTED, *line)
        if number in die:
            os.kill(os.getpid(), signal.SIGKILL)
        if work and number % every == 0:
            await anyio.sleep(work)
        attempts[emitter, number] += 1
        if number in fail or (attempts[emitter, number] <= first and number % every == 0):
            raise RuntimeError(f"the handler fails with number {number}")
        journal.write(records.HANDLED, *line)


async def obey(client: Client, stop: anyio.CancelScope) -> None:
    """Does what the test says."""
    async for command, *_ in commands():
        if command == "statistics":
            say("statistics", client.statistics())
        else:
            raise ValueError(f"what is {command!r}?")
    stop.cancel()


async def until_told(client: Client) -> None:
    """Until the input ends, or SIGTERM."""
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(obey, client, tasks.cancel_scope)
            tasks.start_soon(wait_for, signals, tasks.cancel_scope)


async def wait_for(signals: Any, stop: anyio.CancelScope) -> None:
    async for _ in signals:
        stop.cancel()
        return


async def main(what: dict[str, Any]) -> None:
    # A handler that fails on purpose is not worth a traceback for each message.
    logging.getLogger("purista_fast").setLevel(what.get("log_level", "WARNING"))
    service = Service(what.get("service", "Watch"))
    journal = records.Journal(what["records"], what["consumer"])
    for options in what["subscriptions"]:
        subscribe(service, journal, options)
    async with App(service).serve(overrides=what["tree"]) as client:
        say("ready", client.instance_id)
        await until_told(client)
    say("stopped")


if __name__ == "__main__":
    anyio.run(main, json.loads(sys.argv[1]), backend=sys.argv[2])
