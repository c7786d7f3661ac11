"""``Digest``: makes a small stream of a large one, on the spot."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from ..context import Context
from ..prepare import DeadBand, Tumbling
from ..service import Service
from .messages import Latency, Sample, SensorDigest, WindowDigest, digest, sample
from .state import State, key_of, summary

__all__ = ("DigestConfig", "close_windows", "digest_service", "read_latency", "take")


class DigestConfig(Struct, forbid_unknown_fields=True):
    """``[config.Digest]``"""

    window: Annotated[float, Meta(ge=0.05)] = 2.0
    """Seconds of samples that one digest stands for."""
    lateness: Annotated[float, Meta(ge=0)] = 0.2
    """Seconds that a sample may be late."""
    band: Annotated[float, Meta(ge=0)] = 1.0
    """By how many percent the mean of a sensor must change to be told."""
    max_silence: Annotated[float, Meta(gt=0)] = 5.0
    """Seconds after which it is told in any case."""


digest_service = Service("Digest", description="Mean, min, max and last of each sensor and window", config=DigestConfig)


@digest_service.subscription(sample, overflow="drop_oldest", queue_size=10_000, invokes=[], emits=[])
async def take(ctx: Context[DigestConfig, State], payload: Sample) -> None:
    """Puts a sample into the window of its sensor."""
    state, key = ctx.resources, key_of(payload.device, payload.sensor)
    state.closed += _windows(ctx).add(key, payload.at, payload.value)
    state.units[key] = payload.unit
    state.arrived(payload)


@digest_service.every(lambda config: max(0.05, config.window / 10), invokes=[], emits=[digest])
async def close_windows(ctx: Context[DigestConfig, State]) -> None:
    """Emits a digest for each device and window that is over, of the sensors that have changed."""
    state, windows, now = ctx.resources, _windows(ctx), ctx.resources.now()
    if now < state.advanced - ctx.config.window:
        state.closed += windows.flush()  # the clock was set back
    state.advanced = now
    closed, state.closed = state.closed + windows.advance(now), []
    digests: dict[tuple[str, float, float], list[SensorDigest]] = {}
    for found in closed:
        if _band(ctx).passes(found.key, found.end, found.mean):
            device, _, sensor = found.key.partition("\n")
            mean, low, high, last = (round(value, 2) for value in (found.mean, found.min, found.max, found.last))
            one = SensorDigest(sensor, state.units.get(found.key, ""), found.count, mean, low, high, last)
            digests.setdefault((device, found.start, found.end), []).append(one)
    for (device, start, end), sensors in digests.items():
        await ctx.emit(digest, WindowDigest(device, start, end, sensors))


def _windows(ctx: Context[DigestConfig, State]) -> Tumbling:
    state = ctx.resources
    if state.windows is None:
        state.windows = Tumbling(ctx.config.window, lateness=ctx.config.lateness)
    return state.windows


def _band(ctx: Context[DigestConfig, State]) -> DeadBand:
    state, config = ctx.resources, ctx.config
    if state.band is None:
        state.band = DeadBand(percent=config.band, absolute=0.01, max_silence=config.max_silence)
    return state.band


@digest_service.command(invokes=[], emits=[])
async def read_latency(ctx: Context[DigestConfig, State]) -> Latency:
    """From the emission of a sample until it was in its window."""
    return summary(ctx.resources.latencies)
