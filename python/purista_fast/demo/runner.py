"""Runs the demo for some seconds: starts the application, observes it, uses its commands, and sums up."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio

from .._core import Message, encode
from ..client import Client
from ..config import load
from ..definition import Event
from ..errors import ServiceError
from ..urls import public_url
from . import app
from .digest import read_latency
from .figures import Figures, Summary, process_memory
from .messages import Alarm, Latency, Threshold, alarm, digest, sample
from .sensors import Sensors
from .state import summary
from .view import View, describe
from .watch import read_thresholds, set_threshold

__all__ = ("run",)

SETTINGS = Path(__file__).with_name("purista.toml")
_CALL_INTERVAL = 0.1
_BUFFER = 10_000
_WATCHED = "memory"


async def run(
    seconds: float, view: View, *, bridge: str | None = None, profile: str | None = None, config: str | None = None
) -> Summary:
    """Runs the demo and returns its summary; SIGINT and SIGTERM end it early.

    :param seconds: how long.
    :param config: the configuration file, instead of the demo's own.
    """
    overrides: dict[str, Any] = {"bridge": {"url": bridge}} if bridge else {}
    settings = load(config or SETTINGS, profile=profile, overrides=overrides)
    figures = Figures()
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with app.serve(settings=settings) as client:
            observer = _Observer(client, figures, view)
            began = anyio.current_time()
            async with anyio.create_task_group() as tasks:
                for event, handle in (
                    (sample, observer.sample),
                    (digest, observer.digest),
                    (alarm, observer.alarm),
                ):
                    await tasks.start(observer.listen, event, handle)
                tasks.start_soon(observer.draw, began, seconds)
                tasks.start_soon(observer.call)
                tasks.start_soon(_end_at_signal, signals, tasks.cancel_scope)
                await anyio.sleep(seconds)
                tasks.cancel_scope.cancel()
            elapsed = anyio.current_time() - began
            latency = await client.invoke(read_latency)
            dropped = sum(found.get("dropped", 0) for found in client.statistics().get("subscriptions", {}).values())
    return _summary(figures, public_url(settings.bridge.url), elapsed, latency, dropped)


class _Observer:
    """Listens to the demo's events, and uses its commands as another service would."""

    def __init__(self, client: Client, figures: Figures, view: View) -> None:
        self._client = client
        self._figures = figures
        self._view = view
        self._lowered: float | None = None

    async def listen(
        self,
        event: Event[Any],
        handle: Callable[[Any, int], Awaitable[None]],
        *,
        task_status: anyio.abc.TaskStatus[None],
    ) -> None:
        """Counts the messages of an event that this instance sent; another device may use the same broker."""
        async with self._client.listen(event, buffer=_BUFFER) as messages:
            task_status.started()
            async for message in messages:
                if message.sender.instance_id == self._client.instance_id:
                    await handle(event.codec.decode(message.payload or b"null"), _size(message))

    async def sample(self, payload: Any, size: int) -> None:
        """A sample came by."""
        self._figures.samples += 1
        self._figures.sample_bytes += size
        self._figures.readings[payload.sensor] = payload

    async def digest(self, payload: Any, size: int) -> None:
        """A digest came by: with the first one a threshold goes below what was measured, to see an alarm."""
        self._figures.digests += 1
        self._figures.digest_bytes += size
        self._figures.windows.update({one.sensor: one for one in payload.sensors})
        found = next((one for one in payload.sensors if one.sensor == _WATCHED), None)
        if found is None or self._lowered is not None:
            return
        before = {one.sensor: one.above for one in await self._client.invoke(read_thresholds)}
        self._lowered = before.get(_WATCHED, found.max * 2)
        low = Threshold(_WATCHED, round(found.mean * 0.9, 2))
        await self._client.invoke(set_threshold, low)
        self._view.say(f"set by the demo, to see an alarm: {_WATCHED} above {low.above:g} {found.unit}")

    async def alarm(self, payload: Alarm, _: int) -> None:
        """An alarm came by: the threshold of the demonstration goes back to where it was."""
        self._figures.alarms.append(payload)
        self._view.say(describe(payload))
        if payload.raised and payload.sensor == _WATCHED and self._lowered is not None:
            await self._client.invoke(set_threshold, Threshold(_WATCHED, self._lowered))

    async def call(self) -> None:
        """Invokes a command again and again, and measures."""
        while True:
            began = time.perf_counter()
            try:
                await self._client.invoke(read_thresholds)
            except ServiceError:
                self._figures.failed_calls += 1
            else:
                self._figures.round_trips.append(time.perf_counter() - began)
            await anyio.sleep(_CALL_INTERVAL)

    async def draw(self, began: float, seconds: float) -> None:
        """Shows how things stand, again and again."""
        while True:
            await anyio.sleep(self._view.interval)
            self._view.show(self._figures, anyio.current_time() - began, seconds)


async def _end_at_signal(signals: AsyncIterator[signal.Signals], scope: anyio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()
        return


def _size(message: Message) -> int:
    return len(encode(message))


def _summary(figures: Figures, bridge: str, seconds: float, latency: Latency, dropped: int) -> Summary:
    rss, pss = process_memory()
    some = figures.digests > 0
    return Summary(
        bridge=bridge,
        seconds=round(seconds, 3),
        sensors=len(figures.readings),
        missing=Sensors().missing,
        samples=figures.samples,
        sample_bytes=figures.sample_bytes,
        digests=figures.digests,
        digest_bytes=figures.digest_bytes,
        fewer_messages=round(figures.samples / figures.digests, 2) if some else None,
        fewer_bytes=round(figures.sample_bytes / figures.digest_bytes, 2) if some else None,
        alarms_raised=sum(found.raised for found in figures.alarms),
        alarms_cleared=sum(not found.raised for found in figures.alarms),
        sample_to_digest=latency,
        command_round_trip=summary(figures.round_trips),
        failed_calls=figures.failed_calls,
        dropped=dropped,
        rss_kib=rss,
        pss_kib=pss,
    )
