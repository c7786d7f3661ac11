"""``[uplink]``: what a device shares with a broker elsewhere; the same for its own uplink and for a broker's bridge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from ..config import BridgeSettings, fill
from ..definition import check_name
from ..errors import ConfigError, DefinitionError
from ..kept_settings import OutboxSettings, Seconds
from ..policy import Durability
from ..urls import public_url, scheme, split
from .patterns import Patterns, is_pattern

if TYPE_CHECKING:
    from ..config import Settings

__all__ = ("UplinkEventSettings", "UplinkOutboxSettings", "UplinkSettings", "read")

_NOT_HERE = {
    "wait_for_broker": "an application never waits for its uplink",
    "local_commands": "what is invoked here is not sent up",
}


class UplinkOutboxSettings(OutboxSettings, forbid_unknown_fields=True, kw_only=True):
    """``[uplink.outbox]``: what has not gone up yet. Nobody waits, so nobody can be told that there is no room."""

    durability: Durability = "disk"
    """As :attr:`OutboxSettings.durability`; whoever emitted has gone on already."""
    # It takes fewer words than that of an outbox for which somebody waits, which pyright cannot know to be enough.
    overflow: Literal["drop_oldest", "drop_newest"] = "drop_oldest"  # pyright: ignore[reportIncompatibleVariableOverride]
    """What happens to an event for which there is no room: the oldest of its name make some, or it is dropped."""


class UplinkEventSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """``[uplink.event."alarm*"]``: how some events go up."""

    priority: Annotated[int, msgspec.Meta(ge=-100, le=100)] = 0
    """Of what waits, the higher goes first."""
    ttl: Seconds | None = None
    """How long it is worth sending, and worth keeping for the broker; unset: ``outbox.max_age``."""


class UplinkSettings(BridgeSettings, forbid_unknown_fields=True, kw_only=True):
    """``[uplink]``: the connection, with the keys of ``[bridge]``, and what is shared over it."""

    url: str = ""
    """``mqtt://host:port`` or ``mqtts://host:port``."""
    enabled: bool = True
    """Whether there is one; so that a profile can do without."""
    events: list[str] = msgspec.field(default_factory=list)
    """What goes up: names of events, with ``*`` for any characters."""
    listen: list[str] = msgspec.field(default_factory=list)
    """What comes down: names of events."""
    commands: list[str] = msgspec.field(default_factory=list)
    """What may be called from there: ``Service/version/command``, with ``*`` for any characters."""
    instances: list[str] = msgspec.field(default_factory=list)
    """Whose messages go up: instance ids; unset: the own one alone."""
    event: dict[str, UplinkEventSettings] = msgspec.field(default_factory=dict)
    """How some events go up, by name or pattern: the name itself counts first, then the first pattern."""
    outbox: UplinkOutboxSettings = msgspec.field(default_factory=UplinkOutboxSettings)

    def __repr__(self) -> str:
        return f"UplinkSettings(url={public_url(self.url)!r}, instance_id={self.instance_id!r}, …)"

    __str__ = __repr__

    def policy(self, event: str) -> UplinkEventSettings | None:
        """How an event goes up, if anything is said of it."""
        found = Patterns(self.event).first(event)
        return None if found is None else self.event[found]


def read(tree: Any, settings: Settings) -> UplinkSettings:
    """The section that a tree of settings has, checked.

    :raises ConfigError: with source, key and what was expected.
    """
    source = settings.source or "the defaults"
    if not isinstance(tree, Mapping):
        raise ConfigError(f"{source}: uplink: expected a table, such as [uplink]")
    for key, reason in _NOT_HERE.items():
        if key in tree:
            raise ConfigError(f"{source}: uplink.{key}: not for an uplink: {reason}")
    found = fill(UplinkSettings, tree, source, "uplink")
    for problem in (*_connection(found, settings.bridge), *_messages(found)):
        raise ConfigError(f"{source}: uplink.{problem}")
    return found


def _connection(uplink: UplinkSettings, bridge: BridgeSettings) -> list[str]:
    shown = public_url(uplink.url)
    if scheme(uplink.url) not in ("mqtt", "mqtts"):
        return [f"url {shown!r} begins with none of mqtt://, mqtts://"]
    if scheme(bridge.url) in ("mqtt", "mqtts"):
        here, there = split(bridge.url), split(uplink.url)
        if (here.hostname, here.netloc.rpartition("@")[2], bridge.prefix) == (
            *(there.hostname, there.netloc.rpartition("@")[2]),
            uplink.prefix,
        ):
            return [f"url {shown!r} is the broker of bridge.url, with the same prefix: there is nothing to share"]
    return []


def _messages(uplink: UplinkSettings) -> list[str]:
    problems = [f"events: {problem}" for name in uplink.events if (problem := _name(name.replace("*", "x")))]
    for name in uplink.listen:
        if is_pattern(name):
            problems.append(
                f"listen: {name!r}: a broker cannot filter on a part of a name, and would send every event there is; "
                "name each event"
            )
        elif problem := _name(name):
            problems.append(f"listen: {problem}")
    problems += [
        f"commands: {name!r} is not of the form Service/version/command, such as Watch/1/setLimit"
        for name in uplink.commands
        if name != "*" and (name.count("/") != 2 or not all(name.split("/")))
    ]
    wanted = Patterns(uplink.events)
    problems += [
        f'event."{name}": no such event goes up; uplink.events are {", ".join(uplink.events) or "none"}'
        for name in uplink.event
        if not is_pattern(name) and not wanted.match(name)
    ]
    if uplink.enabled and not (uplink.events or uplink.listen or uplink.commands):
        problems.append("url is given, but none of uplink.events, uplink.listen, uplink.commands: nothing is shared")
    return problems


def _name(name: str) -> str | None:
    """What is wrong with a name."""
    try:
        check_name(name, "an event")
    except DefinitionError as error:
        return str(error)
    return None
