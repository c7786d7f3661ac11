"""``Digest``: makes a small stream of a large one, on the spot."""

from __future__ import annotations

import time
from typing import Annotated

from msgspec import Meta, Struct

from ..context import Context
from ..service import Service
from .messages import Latency, Sample, WindowDigest, digest, sample
from .state import State, summary

__all__ = ("DigestConfig", "digest_service", "read_latency", "take")

_TICK = 0.05


class DigestConfig(Struct, forbid_unknown_fields=True):
    """``[config.Digest]``"""

    window: Annotated[float, Meta(ge=_TICK)] = 2.5
    """Seconds of samples that one digest stands for."""


digest_service = Service("Digest", description="Mean, min, max and last of each sensor and window", config=DigestConfig)


@digest_service.subscription(sample, overflow="drop_oldest", queue_size=10_000)
async def take(ctx: Context[DigestConfig, State], payload: Sample) -> None:
    """Puts a sample into the window of its sensor."""
    ctx.resources.take(payload)


@digest_service.every(_TICK)
async def close_window(ctx: Context[DigestConfig, State]) -> None:
    """Emits the digest of each device when the window's time is over."""
    state, now = ctx.resources, time.time()
    # A clock that was set back begins a window of its own.
    if 0 <= now - state.since < ctx.config.window:
        return
    windows, state.windows = state.windows, {}
    since, state.since = state.since, now
    for device, sensors in windows.items():
        digests = [window.digest(sensor) for sensor, window in sensors.items()]
        await ctx.emit(digest, WindowDigest(device, round(since, 3), round(now, 3), digests))


@digest_service.command
async def read_latency(ctx: Context[DigestConfig, State]) -> Latency:
    """From the emission of a sample until it was in its window."""
    return summary(ctx.resources.latencies)
