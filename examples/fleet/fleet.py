"""The application in the cloud: collects what devices tell, keeps it, answers, and sets limits on them."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct, field

from purista_fast import App, Context, Service
from purista_fast.demo.messages import Alarm, Threshold, WindowDigest, alarm, digest
from purista_fast.demo.watch import set_threshold

__all__ = ("Device", "Limit", "app", "devices", "limit")


class Device(Struct):
    """What is known of a device."""

    name: str
    digests: int = 0
    alarms: int = 0
    raised: list[str] = field(default_factory=list)
    """The sensors that are above their limit."""
    means: dict[str, float] = field(default_factory=dict)
    """Of each sensor, what was told last."""


class Limit(Struct, frozen=True):
    """What a sensor of one device may rise to."""

    device: str
    sensor: str
    above: float


fleet = Service("Fleet", description="What devices have told")


@fleet.subscription(digest, deduplicate=True)
async def collect(ctx: Context, payload: WindowDigest) -> None:
    """Keeps what a device says of a window."""

    def add(device: Device) -> None:
        device.digests += 1
        device.means.update({found.sensor: found.mean for found in payload.sensors})

    await _change(ctx, add)


@fleet.subscription(alarm, deduplicate=True)
async def note(ctx: Context, payload: Alarm) -> None:
    """Keeps that a sensor of a device is above its limit, or has come back."""

    def add(device: Device) -> None:
        device.alarms += 1
        device.raised = [sensor for sensor in device.raised if sensor != payload.sensor]
        if payload.raised:
            device.raised.append(payload.sensor)

    await _change(ctx, add)


@fleet.command
async def devices(ctx: Context) -> list[Device]:
    """All devices that have told something, by name."""
    names = await ctx.states.get("names", type=list[str], default=[])
    found = [await ctx.states.get(f"device:{name}", type=Device) for name in sorted(names)]
    return [device for device in found if device is not None]


@fleet.command(invokes=[set_threshold])
async def limit(ctx: Context, payload: Limit) -> Threshold:
    """Sets a limit on one device."""
    one = set_threshold.using(instance_id=payload.device, timeout=10.0)
    return await ctx.invoke(one, Threshold(payload.sensor, payload.above))


async def _change(ctx: Context, change: Callable[[Device], None]) -> None:
    name = ctx.message.sender.instance_id or "unknown"

    def of_device(old: Device | None) -> Device:
        device = old or Device(name)
        change(device)
        return device

    def of_names(old: list[str] | None) -> list[str]:
        return sorted({*(old or ()), name})

    await ctx.states.update(f"device:{name}", of_device, type=Device)
    await ctx.states.update("names", of_names, type=list[str])


app = App(fleet)
