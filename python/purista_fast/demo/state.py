"""What the demo's services keep while they run: the application's resources."""

from __future__ import annotations

import platform
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio.to_thread
from msgspec import Struct, field

from ..prepare import Closed, DeadBand, Throttle, Tumbling
from .messages import Alarm, Latency, Sample, SensorDigest
from .sensors import Sensors

__all__ = ("State", "key_of", "open_state", "summary")

_LATENCIES = 100_000


class State(Struct):
    """The resources of one run. Each part is one service's own."""

    device: str
    sensors: Sensors
    now: Callable[[], float] = time.time
    """The clock, in seconds since 1970."""
    # Digest
    windows: Tumbling | None = None
    """Of all sensors, by :func:`key_of`; made with the configuration at hand."""
    band: DeadBand | None = None
    closed: list[Closed] = field(default_factory=list)
    """Windows that have closed and are not told yet."""
    advanced: float = 0.0
    """The last moment that the windows were told."""
    units: dict[str, str] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    # Watch
    thresholds: dict[str, float] | None = None
    """Filled from the configuration when first asked for."""
    raised: set[tuple[str, str]] = field(default_factory=set)
    seen: dict[tuple[str, str], SensorDigest] = field(default_factory=dict)
    """The latest of each device and sensor."""
    alarms: Throttle[Alarm] = field(default_factory=lambda: Throttle(1.0, type=Alarm))

    def arrived(self, sample: Sample) -> None:
        """Notes how long a sample was on its way."""
        if len(self.latencies) < _LATENCIES:
            self.latencies.append(max(self.now() - sample.at, 0.0))


def key_of(device: str, sensor: str) -> str:
    """What a sensor of a device is known by."""
    return f"{device}\n{sensor}"


@asynccontextmanager
async def open_state() -> AsyncIterator[State]:
    """The resources, for the time of a run."""
    sensors = await anyio.to_thread.run_sync(Sensors)
    yield State(device=platform.node() or "this machine", sensors=sensors)


def summary(seconds: list[float]) -> Latency:
    """Median, 95th percentile (nearest rank) and maximum of durations."""
    if not seconds:
        return Latency(0, 0.0, 0.0, 0.0)
    ordered = sorted(seconds)
    count = len(ordered)
    at = [ordered[-(-count * percent // 100) - 1] for percent in (50, 95, 100)]
    median, p95, most = (round(value * 1000, 3) for value in at)
    return Latency(count, median, p95, most)
