"""FastStream with one subscriber, idle: what ``benches/idle.py`` starts with the Python of the peers."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys

from faststream import FastStream
from faststream.mqtt import MQTTBroker, QoS
from pydantic import BaseModel


class Payload(BaseModel):
    id: int
    name: str
    value: float


broker = MQTTBroker(f"mqtt://127.0.0.1:{sys.argv[1]}", version="5.0", logger=logging.getLogger("peer"))
app = FastStream(broker)


@broker.subscriber("measured", qos=QoS.AT_LEAST_ONCE)
async def watch(payload: Payload) -> None:
    """Does nothing."""


def say(text: str) -> None:
    # Not by sys.stderr: a signal's handler may come while that writes, and it refuses to be entered twice.
    os.write(2, f"{text}\n".encode())


def collect(*_: object) -> None:
    gc.collect()
    say("collected")


@app.after_startup
async def ready() -> None:
    signal.signal(signal.SIGUSR1, collect)
    say("is ready")


asyncio.run(app.run())
