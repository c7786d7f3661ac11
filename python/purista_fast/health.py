"""How an application is: counters and depths that everybody on the bridge may ask for."""

from __future__ import annotations

from typing import Any

import msgspec

from .context import Context
from .definition import remote
from .reporter import SERVICE, VERSION

__all__ = ("Health", "Outbox", "Queue", "Uplink", "from_statistics", "health")


class Outbox(msgspec.Struct, kw_only=True, rename="camel"):
    """What the broker has not taken yet, or is kept in case that it forgets."""

    messages: int = 0
    bytes: int = 0
    oldest_age: float | None = None
    """In seconds; ``None`` if it is empty."""
    in_flight: int = 0
    """How many are sent and not acknowledged."""
    held: int = 0
    """How many are acknowledged, and kept for a while nevertheless."""


class Queue(msgspec.Struct, kw_only=True, rename="camel"):
    """A subscription's messages."""

    waiting: int = 0
    running: int = 0
    handled: int = 0
    dropped: int = 0


class Uplink(msgspec.Struct, kw_only=True, rename="camel"):
    """The second bridge of a device, to a broker elsewhere."""

    url: str
    """Without credentials."""
    instance_id: str
    """What the device is called there."""
    connected: bool
    connected_for: float | None = None
    """For how long it has been connected; ``None`` if it is not."""
    reconnects: int = 0
    outbox: Outbox = msgspec.field(default_factory=Outbox)
    """What has not gone up yet."""
    taken_up: int = 0
    """How many messages were taken for the way up."""
    taken_down: int = 0
    """How many came down."""
    drops: dict[str, int] = {}
    """How many messages were given up or refused, by reason."""
    dead_letters: int = 0


class Health(msgspec.Struct, kw_only=True, rename="camel"):
    """How an instance is. Times are seconds by its monotonic clock, which does not jump.

    There is nothing of any message in it, and no secret. On the wire the names are in camelCase.
    """

    instance_id: str
    app: str
    """The name of the application."""
    version: str
    """The version of purista-fast."""
    bridge: str
    """The bridge's URL without credentials."""
    up_for: float
    """For how long it has been running."""
    connected: bool
    connected_for: float | None = None
    """For how long it has been connected; ``None`` if it is not, or there is nothing to connect to."""
    reconnects: int = 0
    outbox: Outbox = msgspec.field(default_factory=Outbox)
    drops: dict[str, int] = {}
    """How many messages were given up or refused, by reason."""
    retries: int = 0
    """How many messages wait on disk for their handler."""
    dead_letters: int = 0
    handler_errors: dict[str, int] = {}
    """How many runs failed by an error that was not meant for the caller, by ``Service/version/handler``."""
    commands_running: int = 0
    queues: dict[str, Queue] = {}
    """By ``Service/version/subscription``."""
    pending_invocations: int = 0
    """How many invocations wait for an answer of others."""
    late_answers: int = 0
    """How many answers came for nobody."""
    uplink: Uplink | None = None
    """``None`` if there is none."""


@remote(SERVICE, VERSION)
async def health(ctx: Context) -> Health:
    """How an instance is: ``await client.invoke(health.using(instance_id="greenhouse_7"))``.

    Every application that has services serves it. Without an instance id some instance answers.
    """
    raise NotImplementedError  # it is only called through a bridge


def from_statistics(found: dict[str, Any], **rest: Any) -> Health:
    """A health whose counters and depths are those of a bridge's statistics.

    :param rest: the fields that no bridge knows.
    """
    return Health(
        **rest,
        connected_for=found.get("connected_for"),
        reconnects=found.get("reconnects", 0),
        outbox=_outbox(found),
        drops=_drops(found),
        retries=found.get("retries", {}).get("messages", 0),
        dead_letters=found.get("dead_letters", {}).get("messages", 0),
        queues={name: Queue(**counts) for name, counts in found["subscriptions"].items()},
        pending_invocations=found.get("pending_invocations", 0),
        late_answers=found.get("late_answers", 0),
        uplink=_uplink(found["uplink"]) if "uplink" in found else None,
    )


def _uplink(found: dict[str, Any]) -> Uplink:
    more = {
        "disk too slow": found["up"]["dropped"],
        "never taken there": found["up"]["unfit"],
        "came back": found["down"]["returned"],
        "commands not offered": found["refused_commands"],
    }
    return Uplink(
        url=found["url"],
        instance_id=found["instance_id"],
        connected=found["connected"],
        connected_for=found["connected_for"],
        reconnects=found["reconnects"],
        outbox=_outbox(found),
        taken_up=found["up"]["taken"],
        taken_down=found["down"]["taken"],
        drops={**_drops(found), **{reason: count for reason, count in more.items() if count}},
        dead_letters=found["dead_letters"]["messages"],
    )


def _outbox(found: dict[str, Any]) -> Outbox:
    outbox: dict[str, Any] = found.get("outbox", {})
    names = Outbox.__struct_fields__
    return msgspec.convert({_camel(name): outbox[name] for name in names if name in outbox}, Outbox)


def _drops(found: dict[str, Any]) -> dict[str, int]:
    """Everything that was not delivered, by reason; what never happened is left out."""
    counts: dict[str, int] = {
        "queue full": sum(counts["dropped"] for counts in found["subscriptions"].values()),
        **{
            name.replace("_", " "): found.get(name, 0)
            for name in ("lost_answers", "lost_success_events", "lost_reports", "refused_by_broker", "commands_expired")
        },
        **{f"refused: {reason}": count for reason, count in found.get("rejected", {}).items()},
        **{f"outbox: {reason}": count for reason, count in found.get("outbox", {}).get("dropped", {}).items()},
        "dead letters": _number(found.get("dead_letters", {}).get("dropped", 0)),
    }
    return {reason: count for reason, count in counts.items() if count}


def _number(count: Any) -> int:
    return sum(count.values()) if isinstance(count, dict) else int(count)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)
