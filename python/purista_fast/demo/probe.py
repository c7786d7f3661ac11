"""``Probe``: samples the sensors of this machine."""

from __future__ import annotations

import time
from typing import Annotated

import anyio
import anyio.to_thread
from msgspec import Meta, Struct

from ..context import Context
from ..service import Service
from .messages import Sample, sample
from .state import State

__all__ = ("ProbeConfig", "probe_service")


class ProbeConfig(Struct, forbid_unknown_fields=True):
    """``[config.Probe]``"""

    interval: Annotated[float, Meta(ge=0.05)] = 0.2
    """Seconds between two readings of all sensors."""


probe_service = Service("Probe", description="Samples the sensors of this machine", config=ProbeConfig)


@probe_service.every(lambda config: config.interval, invokes=[], emits=[sample])
async def read(ctx: Context[ProbeConfig, State]) -> None:
    """Emits a sample of each sensor."""
    state = ctx.resources
    # A sensor on a slow bus takes its time; the loop goes on meanwhile.
    readings = await anyio.to_thread.run_sync(state.sensors.read)
    async with anyio.create_task_group() as tasks:
        for reading in readings:
            one = Sample(state.device, reading.sensor, round(reading.value, 2), reading.unit, round(time.time(), 6))
            tasks.start_soon(_emit, ctx, one)


async def _emit(ctx: Context[ProbeConfig, State], one: Sample) -> None:
    await ctx.emit(sample, one)
