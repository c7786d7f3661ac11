"""A device: the services of device health, and a count of what they have said, told line by line for whoever watches.

It runs by ``python device.py SETTINGS``, where the settings are a tree as in ``purista.toml``, as JSON.
"""

from __future__ import annotations

import json
import signal
import sys
from typing import Any

import anyio

from purista_fast import App, Client, Context, Service
from purista_fast.demo.digest import digest_service
from purista_fast.demo.messages import alarm, digest
from purista_fast.demo.probe import probe_service
from purista_fast.demo.state import open_state
from purista_fast.demo.watch import watch_service

counter = Service("Counter", description="Counts what the services of this device have said")
counts = {"digests": 0, "alarms": 0}


@counter.subscription(digest)
async def count_digest(ctx: Context, payload: Any) -> None:
    """One more."""
    counts["digests"] += 1


@counter.subscription(alarm)
async def count_alarm(ctx: Context, payload: Any) -> None:
    """One more."""
    counts["alarms"] += 1


app = App(probe_service, digest_service, watch_service, counter, resources=open_state, name="device_health")


def tell(client: Client) -> None:
    """How things stand here."""
    uplink = client.statistics()["uplink"]
    outbox = uplink["outbox"]
    waiting = outbox["messages"] - outbox["held"]
    print(json.dumps({**counts, "waiting": waiting, "connected": uplink["connected"]}), flush=True)


async def main(settings: dict[str, Any]) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with app.serve(overrides=settings) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(tell_again_and_again, client)
            async for _ in signals:
                tasks.cancel_scope.cancel()
                break
        # All that was emitted is counted now.
        print(json.dumps({**counts, "ended": True}), flush=True)


async def tell_again_and_again(client: Client) -> None:
    while True:
        tell(client)
        await anyio.sleep(0.5)


if __name__ == "__main__":
    anyio.run(main, json.loads(sys.argv[1]))
