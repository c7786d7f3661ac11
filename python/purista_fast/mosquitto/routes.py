"""Which topics a broker's bridge carries, derived from ``[uplink]`` and from what an application knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from .._core import subscription_filter
from ..definition import Command, Subscription
from ..errors import ConfigError
from ..uplink.patterns import Patterns

if TYPE_CHECKING:
    from ..service import Service
    from ..uplink.settings import UplinkSettings

__all__ = ("Route", "known_events", "routes")

_EVENTS = ("customMessage", "commandSuccessResponse")
_ANSWERS = ("commandSuccessResponse", "commandErrorResponse")


class Route(msgspec.Struct, frozen=True):
    """A line of a bridge."""

    direction: Literal["out", "in"]
    pattern: str
    """The topic filter without the prefix."""
    why: str


def known_events(services: Iterable[Service]) -> set[str]:
    """The names of all events that services emit, answer with, or listen to, as far as they say."""
    found: set[str] = set()
    for service in services:
        for function in (*service.commands.values(), *service.subscriptions.values(), *service.timers.values()):
            found |= (function.emits or frozenset()) | function.durable_events
            if isinstance(function, Command) and function.success_event is not None:
                found.add(function.success_event.name)
            if isinstance(function, Subscription):
                if function.result_event is not None:
                    found.add(function.result_event.name)
                if "eventName" in function.filter:
                    found.add(function.filter["eventName"])
    return found


def routes(
    uplink: UplinkSettings, instances: Iterable[str], services: Iterable[Service] | None, source: str
) -> list[Route]:
    """The lines for what ``[uplink]`` shares.

    :param instances: whose messages go out, and who can be called.
    :param services: of the application; ``None`` if none was named.
    :param source: of the settings, for error messages.
    :raises ConfigError: for a pattern, or a command, that a broker cannot carry without the application.
    """
    instances = list(instances)
    events = _events(uplink, services, source)
    commands = _commands(uplink, services, source)
    found: dict[Route, None] = {}
    for instance in instances:
        found |= dict.fromkeys(_outwards(events, instance))
    for name in dict.fromkeys(uplink.listen):
        for kind in _EVENTS:
            found[_route("in", f"The event {name}.", messageType=kind, eventName=name)] = None
    for instance in instances:
        for command in commands:
            found |= dict.fromkeys(_command(command, instance, events))
    # Equal lines would carry a message twice: names that differ can be the same level of a topic.
    return list({(route.direction, route.pattern): route for route in found}.values())


def _events(uplink: UplinkSettings, services: Iterable[Service] | None, source: str) -> list[str]:
    wanted = Patterns(uplink.events)
    if not wanted.patterns:
        return sorted(wanted.names)
    shown = ", ".join(f'"{text}"' for text in wanted.patterns)
    if services is None:
        raise ConfigError(
            f"{source}: uplink.events: {shown}: a broker cannot filter on a part of a name, so patterns become the "
            "events that the application knows: name it (module:app), or name each event"
        )
    known = known_events(services)
    for text in wanted.patterns:
        if not any(map(Patterns([text]).match, known)):
            raise ConfigError(
                f'{source}: uplink.events: "{text}": the application knows no such event; it knows '
                f"{', '.join(sorted(known)) or 'none'}. What handlers emit is known by their emits=[…]"
            )
    return sorted(wanted.names | {name for name in known if wanted.match(name)})


def _commands(uplink: UplinkSettings, services: Iterable[Service] | None, source: str) -> list[Command[..., Any]]:
    if not uplink.commands:
        return []
    if services is None:
        raise ConfigError(
            f"{source}: uplink.commands: a broker is told which commands come in and which answers go out: name the "
            "application (module:app)"
        )
    wanted = Patterns(uplink.commands)
    known = {command.label: command for service in services for command in service.commands.values()}
    for text in (*wanted.patterns, *sorted(wanted.names)):
        if not any(map(Patterns([text]).match, known)):
            raise ConfigError(
                f'{source}: uplink.commands: "{text}": the application has no such command; it has '
                f"{', '.join(sorted(known)) or 'none'}"
            )
    return [command for label, command in known.items() if wanted.match(label)]


def _outwards(events: Iterable[str], instance: str) -> Iterator[Route]:
    for name in events:
        for kind in _EVENTS:
            why = f"The event {name} of {instance}."
            yield _route("out", why, messageType=kind, eventName=name, sender={"instanceId": instance})


def _command(command: Command[..., Any], instance: str, events: Iterable[str]) -> Iterator[Route]:
    names = {
        "serviceName": command.service_name,
        "serviceVersion": command.service_version,
        "serviceTarget": command.name,
        "instanceId": instance,
    }
    yield _route("in", f"The command {command.label} of {instance}.", messageType="command", receiver=names)
    for kind in _ANSWERS:
        event = command.success_event
        if kind == "commandSuccessResponse" and event is not None and event.name in events:
            continue  # goes out as the event that it is
        yield _route("out", f"The answers of {command.label} of {instance}.", messageType=kind, sender=names)


def _route(direction: Literal["out", "in"], why: str, **subscription: Any) -> Route:
    text = subscription_filter(subscription, shared=False, prefix="x")
    return Route(direction, text.removeprefix("x/"), why)
