"""``Watch``: reacts to thresholds."""

from __future__ import annotations

from msgspec import Struct, field

from ..context import Context
from ..errors import HandledError, StatusCode
from ..service import Service
from .messages import Alarm, Threshold, WindowDigest, alarm, digest, threshold_changed
from .state import State

__all__ = ("WatchConfig", "read_thresholds", "set_threshold", "watch_service")


class WatchConfig(Struct, forbid_unknown_fields=True):
    """``[config.Watch]``"""

    thresholds: dict[str, float] = field(default_factory=lambda: {"cpu": 90.0, "memory": 90.0})
    """Of each sensor, the mean of a window above which it raises an alarm."""


watch_service = Service("Watch", description="Raises an alarm above a threshold", config=WatchConfig)


@watch_service.subscription(digest)
async def compare(ctx: Context[WatchConfig, State], payload: WindowDigest) -> None:
    """Emits an alarm when a sensor goes above its threshold, and when it comes back."""
    state, thresholds = ctx.resources, _thresholds(ctx)
    for found in payload.sensors:
        state.seen.add(found.sensor)
        key = payload.device, found.sensor
        above = thresholds.get(found.sensor)
        raised = above is not None and found.mean > above
        if above is None or raised == (key in state.raised):
            continue
        (state.raised.add if raised else state.raised.discard)(key)
        await ctx.emit(alarm, Alarm(payload.device, found.sensor, found.unit, found.mean, above, raised))


@watch_service.command
async def read_thresholds(ctx: Context[WatchConfig, State]) -> list[Threshold]:
    """All thresholds."""
    return [Threshold(sensor, above) for sensor, above in sorted(_thresholds(ctx).items())]


@watch_service.command(success_event=threshold_changed)
async def set_threshold(ctx: Context[WatchConfig, State], payload: Threshold) -> Threshold:
    """Sets the threshold of a sensor that has been seen, and gives it back."""
    thresholds, seen = _thresholds(ctx), ctx.resources.seen
    if payload.sensor not in seen and payload.sensor not in thresholds:
        raise HandledError(StatusCode.NOT_FOUND, f"there is no sensor {payload.sensor!r}", {"sensors": sorted(seen)})
    thresholds[payload.sensor] = payload.above
    return payload


def _thresholds(ctx: Context[WatchConfig, State]) -> dict[str, float]:
    state = ctx.resources
    if state.thresholds is None:
        state.thresholds = dict(ctx.config.thresholds)
    return state.thresholds
