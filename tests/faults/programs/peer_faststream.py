"""The same emitter and subscriber with FastStream, configured as carefully as it allows."""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter
from typing import Any

import anyio
from faststream import AckPolicy
from faststream.mqtt import MQTTBroker, QoS

from tests.faults import records
from tests.faults.programs.common import commands, payload_of, say

TOPIC = "peer/tick"


def broker_of(what: dict[str, Any]) -> MQTTBroker:
    # [configuration]
    return MQTTBroker(
        f"mqtt://{what['host']}:{what['port']}",
        client_id=what["name"],  # stable
        version="5.0",
        clean_session=False,  # durable
        session_expiry_interval=3600,
        # No receive_maximum: mosquitto 2.0 sends more than it allows, and the client then ends for good.
        keepalive=5,
        ack_policy=AckPolicy.NACK_ON_ERROR,  # a message whose handler failed is not acknowledged
        # [end]
        logger=logging.getLogger("peer"),  # to standard error
    )


async def emit(what: dict[str, Any]) -> None:
    journal = records.Journal(what["records"], what["name"])
    broker = broker_of(what)
    await broker.start()
    say("ready")
    for number in range(what["start"], what["start"] + what["count"]):
        payload = payload_of(what["name"], number, 120)
        line = (what["name"], "tick", number, records.digest(payload))
        journal.write(records.ATTEMPTED, *line)
        await broker.publish(payload, TOPIC, qos=QoS.AT_LEAST_ONCE)
        journal.write(records.CONFIRMED, *line)
        if number == what["start"]:
            say("first", number)
        await anyio.sleep(1 / what["rate"])
    say("done")
    async for _ in commands():
        pass
    await broker.stop()


async def subscribe(what: dict[str, Any]) -> None:
    journal = records.Journal(what["records"], what["name"])
    attempts: Counter[int] = Counter()
    broker = broker_of(what)

    # [configuration]
    @broker.subscriber(TOPIC, qos=QoS.AT_LEAST_ONCE)
    # [end]
    async def handle(payload: dict[str, Any]) -> None:
        number = payload["number"]
        line = (payload["emitter"], "tick", number, records.digest(payload))
        journal.write(records.STARTED, *line)
        attempts[number] += 1
        if attempts[number] <= what["fail_first"] and number % what["every"] == 0:
            raise RuntimeError(f"the handler fails with number {number}")
        journal.write(records.HANDLED, *line)

    await broker.start()
    say("ready")
    async for _ in commands():
        pass
    await broker.stop()


if __name__ == "__main__":
    settings = json.loads(sys.argv[1])
    anyio.run({"emitter": emit, "subscriber": subscribe}[settings["role"]], settings)
