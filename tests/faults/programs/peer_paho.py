"""The same emitter and subscriber with nothing but paho-mqtt, configured as carefully as it allows."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.faults import records
from tests.faults.programs.common import payload_of, say

TOPIC = "peer/tick"


def client_of(what: dict[str, Any]) -> paho.Client:
    # [configuration]
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=what["name"],  # stable
        protocol=paho.MQTTv5,
        manual_ack=True,  # acknowledged after the handler
    )
    client.max_queued_messages_set(0)  # no limit
    client.max_inflight_messages_set(100)
    client.reconnect_delay_set(min_delay=1, max_delay=1)
    session = Properties(PacketTypes.CONNECT)
    session.SessionExpiryInterval = 3600
    client.connect_async(what["host"], what["port"], keepalive=5, clean_start=False, properties=session)  # durable
    # [end]
    return client


def emit(what: dict[str, Any]) -> None:
    journal = records.Journal(what["records"], what["name"])
    client = client_of(what)
    connected = threading.Event()
    client.on_connect = lambda *_: connected.set()
    client.loop_start()
    assert connected.wait(10)
    say("ready")
    for number in range(what["start"], what["start"] + what["count"]):
        payload = payload_of(what["name"], number, 120)
        line = (what["name"], "tick", number, records.digest(payload))
        journal.write(records.ATTEMPTED, *line)
        message = client.publish(TOPIC, json.dumps(payload), qos=1)
        message.wait_for_publish(30)
        journal.write(records.CONFIRMED if message.is_published() else records.FAILED, *line)
        if number == what["start"]:
            say("first", number)
        time.sleep(1 / what["rate"])
    say("done")
    sys.stdin.buffer.read()
    client.disconnect()
    client.loop_stop()


def subscribe(what: dict[str, Any]) -> None:
    journal = records.Journal(what["records"], what["name"])
    attempts: Counter[int] = Counter()
    client = client_of(what)
    ready = threading.Event()

    def handle(payload: dict[str, Any]) -> None:
        number = payload["number"]
        line = (payload["emitter"], "tick", number, records.digest(payload))
        journal.write(records.STARTED, *line)
        attempts[number] += 1
        if attempts[number] <= what["fail_first"] and number % what["every"] == 0:
            raise RuntimeError(f"the handler fails with number {number}")
        journal.write(records.HANDLED, *line)

    # [configuration]
    def on_message(client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            handle(json.loads(message.payload))
        except RuntimeError as error:
            # Not acknowledged: it comes again, after the next connect. Raised, it would end paho's thread.
            print(error, file=sys.stderr)
        else:
            client.ack(message.mid, message.qos)

    client.on_message = on_message  # set before the connect
    client.on_connect = lambda client, *_: client.subscribe(TOPIC, qos=1)
    # [end]
    client.on_subscribe = lambda *_: ready.set()
    client.loop_start()
    assert ready.wait(10)
    say("ready")
    sys.stdin.buffer.read()
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    settings = json.loads(sys.argv[1])
    {"emitter": emit, "subscriber": subscribe}[settings["role"]](settings)
