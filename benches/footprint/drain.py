"""A backlog: 50,000 events that wait on disk for the broker, or in the broker for a subscription.

Each is prepared by processes of its own. Measured is one that starts afterwards and finds it.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..mqtt_broker import broker
from .cases import figures
from .group import Group
from .memory import sample
from .processes import Process, ours

__all__ = ("WAYS",)

_PERIOD = 0.2
_PATIENCE = 900.0
"""Seconds that it all may take."""


def from_disk(script: Path, folder: Path, count: int, group: Group | None = None) -> dict[str, Any]:
    """The outbox on its way to the broker: the process that sends is measured, another one handles."""
    with ExitStack() as stack:
        start = _starter(stack, script, folder)
        folder.mkdir(parents=True)
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            url = f"mqtt://127.0.0.1:{nobody.getsockname()[1]}"
            away = {"PURISTA_BRIDGE__WAIT_FOR_BROKER": "false"}
            filling = start("emitter", url, "Emitter", count=count, settings=away)
            filling.wait_for("all emitted", _PATIENCE)
            filling.stop()
        url = f"mqtt://127.0.0.1:{stack.enter_context(broker(folder / 'broker'))}"
        consumer = start("consumer", url, "Consumer", count=count)
        emitter = start("emitter", url, "Emitter", group=group, wait=False)
        return _drained(emitter, consumer, count)


def from_broker(script: Path, folder: Path, count: int, group: Group | None = None) -> dict[str, Any]:
    """What the broker has kept for a subscription: the process that handles it is measured."""
    with ExitStack() as stack:
        start = _starter(stack, script, folder)
        folder.mkdir(parents=True)
        url = f"mqtt://127.0.0.1:{stack.enter_context(broker(folder / 'broker'))}"
        start("consumer", url, "Consumer").stop()
        emitter = start("emitter", url, "Emitter", count=count)
        emitter.wait_for("all emitted", _PATIENCE)
        emitter.stop()
        consumer = start("consumer", url, "Consumer", count=count, group=group, wait=False)
        return _drained(consumer, consumer, count)


def _starter(stack: ExitStack, script: Path, folder: Path) -> Callable[..., Process]:
    def start(name: str, url: str, service: str, *, wait: bool = True, **how: Any) -> Process:
        process = ours(script, folder / name, url, service, **how)
        stack.callback(process.kill)
        if wait:
            process.wait_for(" is ready as instance ")
        return process

    return start


def _drained(watched: Process, handles: Process, count: int) -> dict[str, Any]:
    started = time.monotonic()

    def is_over() -> bool:
        if watched.has_ended() or handles.has_ended():
            raise RuntimeError(f"it ended: {watched.said()[-1000:]}\n{handles.said()[-1000:]}")
        return "all handled" in handles.said()

    series = sample({"": watched.pid}, _PATIENCE, _PERIOD, is_over)[""]
    if not is_over():
        raise RuntimeError(f"not all of {count} were handled within {_PATIENCE:g} s: {handles.said()[-1000:]}")
    seconds = time.monotonic() - started
    cpu = watched.cpu()
    for process in {watched, handles}:
        process.stop()
    return {
        **figures(series),
        "count": count,
        "handled": handles.counted()[0],
        "seconds": round(seconds, 2),
        "a_second": round(count / seconds),
        "cpu_seconds": cpu,
    }


WAYS = {"from disk": from_disk, "from the broker": from_broker}
