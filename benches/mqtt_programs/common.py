"""What the programs have in common: how they are told what to do, and what they answer.

A program gets what it needs to know as one argument of JSON, says ``ready``, and then does one job for each line on
its standard input. It needs nothing but the standard library and anyio, which the peers have as well.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio.to_thread

__all__ = ("ECHO", "EVENT", "NAME", "PAYLOAD", "jobs", "jobs_of_threads", "say", "settings")

EVENT, ECHO, NAME = "measured", "echo", "MqttBench"
PAYLOAD: dict[str, Any] = {"id": 1, "name": "sensor-temperature-01", "value": 23.5}


def settings() -> dict[str, Any]:
    """What the program was started with."""
    found: dict[str, Any] = json.loads(sys.argv[1])
    return found


def say(answer: Any) -> None:
    """Answers a job."""
    print(json.dumps(answer), flush=True)


async def jobs() -> AsyncIterator[dict[str, Any]]:
    """The jobs, for a program with an event loop; what only asks for the CPU time is answered here."""
    while line := await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
        if job := _job(line):
            yield job


def jobs_of_threads() -> Iterator[dict[str, Any]]:
    """The jobs, for a program without an event loop."""
    for line in sys.stdin:
        if job := _job(line):
            yield job


def _job(line: str) -> dict[str, Any] | None:
    job: dict[str, Any] = json.loads(line)
    if job["do"] == "tell":
        say(time.process_time())
        return None
    return job
