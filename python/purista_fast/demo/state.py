"""What the demo's services keep while they run: the application's resources."""

from __future__ import annotations

import platform
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread
from msgspec import Struct, field

from .messages import Latency, Sample, SensorDigest
from .sensors import Sensors

__all__ = ("State", "Window", "open_state", "summary")

_LATENCIES = 100_000


class Window(Struct):
    """The samples of one sensor since the window began."""

    unit: str
    count: int = 0
    total: float = 0.0
    min: float = float("inf")
    max: float = float("-inf")
    last: float = 0.0

    def add(self, value: float) -> None:
        """Takes a value in."""
        self.count += 1
        self.total += value
        self.min = min(self.min, value)
        self.max = max(self.max, value)
        self.last = value

    def digest(self, sensor: str) -> SensorDigest:
        """What there is to say of it; there must have been a value."""
        mean, low, high, last = (round(value, 2) for value in (self.total / self.count, self.min, self.max, self.last))
        return SensorDigest(sensor, self.unit, self.count, mean, low, high, last)


class State(Struct):
    """The resources of one run. Each part is one service's own."""

    device: str
    sensors: Sensors
    # Probe
    next_reading: float = 0.0
    # Digest
    since: float = field(default_factory=time.time)
    windows: dict[str, dict[str, Window]] = field(default_factory=dict)
    """By device, then by sensor."""
    latencies: list[float] = field(default_factory=list)
    # Watch
    thresholds: dict[str, float] | None = None
    """Filled from the configuration when first asked for."""
    raised: set[tuple[str, str]] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)

    def take(self, sample: Sample) -> None:
        """Puts a sample into its window."""
        window = self.windows.setdefault(sample.device, {}).setdefault(sample.sensor, Window(sample.unit))
        window.add(sample.value)
        if len(self.latencies) < _LATENCIES:
            self.latencies.append(max(time.time() - sample.at, 0.0))


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
