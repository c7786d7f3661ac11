"""What the programs share: lines to and from the test."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from typing import Any

import anyio

__all__ = ("commands", "payload_of", "say")


def say(*line: Any) -> None:
    """Tells the test."""
    print(json.dumps(line), flush=True)


async def commands() -> AsyncIterator[list[Any]]:
    """What the test says, until it closes the pipe."""
    rest = b""
    while True:
        await anyio.wait_readable(0)
        data = os.read(0, 65536)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield json.loads(line)


def payload_of(emitter: str, number: int, size: int) -> dict[str, Any]:
    """A payload of about ``size`` bytes as JSON, different for each number."""
    text = f"{emitter}:{number}:"
    return {"emitter": emitter, "number": number, "data": (text * (size // len(text) + 1))[: max(0, size - 60)]}
