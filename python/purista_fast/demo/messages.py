"""What the services of the demo tell each other."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from ..definition import Event

__all__ = (
    "Alarm",
    "Latency",
    "Sample",
    "SensorDigest",
    "Threshold",
    "WindowDigest",
    "alarm",
    "digest",
    "sample",
    "threshold_changed",
)


class Sample(Struct, frozen=True):
    """One reading of one sensor."""

    device: str
    sensor: str
    value: float
    unit: str
    at: float
    """When it was emitted, in seconds since 1970."""


class SensorDigest(Struct, frozen=True):
    """What one sensor said within a window."""

    sensor: str
    unit: str
    count: int
    mean: float
    min: float
    max: float
    last: float


class WindowDigest(Struct, frozen=True):
    """All sensors of a device within a window."""

    device: str
    since: float
    """When the window began, in seconds since 1970."""
    until: float
    sensors: list[SensorDigest]


class Threshold(Struct, frozen=True):
    """The mean of a window above which a sensor raises an alarm."""

    sensor: Annotated[str, Meta(min_length=1)]
    above: float


class Alarm(Struct, frozen=True):
    """A sensor has gone above its threshold, or has come back."""

    device: str
    sensor: str
    unit: str
    mean: float
    above: float
    raised: bool


class Latency(Struct, frozen=True):
    """From the emission of a sample until it is in a window, in milliseconds."""

    count: int
    median: float
    p95: float
    max: float


sample = Event("sample", Sample)
digest = Event("digest", WindowDigest)
alarm = Event("alarm", Alarm)
threshold_changed = Event("threshold_changed", Threshold)
