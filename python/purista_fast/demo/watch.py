"""``Watch``: reacts to thresholds."""

from __future__ import annotations

from msgspec import Struct, field

from ..context import Context
from ..errors import HandledError, StatusCode
from ..service import Service
from .messages import Alarm, SensorDigest, Threshold, WindowDigest, alarm, digest, threshold_changed
from .state import State, key_of

__all__ = ("WatchConfig", "read_thresholds", "set_threshold", "tell_later", "watch_service")

_TICK = 0.25


class WatchConfig(Struct, forbid_unknown_fields=True):
    """``[config.Watch]``"""

    thresholds: dict[str, float] = field(default_factory=lambda: {"cpu": 90.0, "memory": 90.0})
    """Of each sensor, the mean of a window above which it raises an alarm."""


watch_service = Service("Watch", description="Raises an alarm above a threshold", config=WatchConfig)


@watch_service.subscription(digest, invokes=[], emits=[alarm])
async def compare(ctx: Context[WatchConfig, State], payload: WindowDigest) -> None:
    """Emits an alarm when a sensor goes above its threshold, and when it comes back."""
    for found in payload.sensors:
        ctx.resources.seen[payload.device, found.sensor] = found
        await _judge(ctx, payload.device, found)


@watch_service.every(_TICK, invokes=[], emits=[alarm])
async def tell_later(ctx: Context[WatchConfig, State]) -> None:
    """Emits the alarms that came too soon after another of their sensor: the latest of each."""
    for found in ctx.resources.alarms.advance(ctx.resources.now()):
        await ctx.emit(alarm, found.value)


@watch_service.command(invokes=[], emits=[])
async def read_thresholds(ctx: Context[WatchConfig, State]) -> list[Threshold]:
    """All thresholds."""
    return [Threshold(sensor, above) for sensor, above in sorted(_thresholds(ctx).items())]


@watch_service.command(success_event=threshold_changed, invokes=[], emits=[alarm])
async def set_threshold(ctx: Context[WatchConfig, State], payload: Threshold) -> Threshold:
    """Sets the threshold of a sensor that has been seen, and gives it back."""
    thresholds, seen = _thresholds(ctx), ctx.resources.seen
    sensors = sorted({sensor for _, sensor in seen})
    if payload.sensor not in sensors and payload.sensor not in thresholds:
        raise HandledError(StatusCode.NOT_FOUND, f"there is no sensor {payload.sensor!r}", {"sensors": sensors})
    thresholds[payload.sensor] = payload.above
    for (device, sensor), found in seen.items():
        if sensor == payload.sensor:
            await _judge(ctx, device, found)
    return payload


async def _judge(ctx: Context[WatchConfig, State], device: str, found: SensorDigest) -> None:
    state, key = ctx.resources, (device, found.sensor)
    above = _thresholds(ctx).get(found.sensor)
    raised = above is not None and found.mean > above
    if above is None or raised == (key in state.raised):
        return
    (state.raised.add if raised else state.raised.discard)(key)
    one = Alarm(device, found.sensor, found.unit, found.mean, above, raised)
    for now in state.alarms.add(key_of(device, found.sensor), ctx.resources.now(), one):
        await ctx.emit(alarm, now.value)


def _thresholds(ctx: Context[WatchConfig, State]) -> dict[str, float]:
    state = ctx.resources
    if state.thresholds is None:
        state.thresholds = dict(ctx.config.thresholds)
    return state.thresholds
