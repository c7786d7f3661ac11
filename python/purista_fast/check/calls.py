"""Whether every command that a handler declares in ``invokes`` is served where it can be reached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..definition import Command, Function
from .finding import Finding
from .places import Place

if TYPE_CHECKING:
    from ..app import App

__all__ = ("calls",)


def calls(app: App, places: Sequence[Place]) -> Iterator[Finding]:
    """What is wrong with the commands that handlers invoke."""
    for place in places:
        for function in place.functions():
            for command in sorted(function.invokes or (), key=lambda command: command.label):
                yield from _call(app, places, place, function, command)


def _call(
    app: App, places: Sequence[Place], place: Place, function: Function, command: Command[..., object]
) -> Iterator[Finding]:
    def finding(what: str, change: str) -> Finding:
        text = f"{function.label} invokes {command.label}, {what}"
        return Finding(
            kind="command", profile=place.name, text=text, handler=function.label, about=command.label, change=change
        )

    service = next(
        (s for s in app.services if (s.name, s.version) == (command.service_name, command.service_version)), None
    )
    if service is None:
        if not command.is_remote:
            yield finding(
                "and this application has no such service",
                f"add {command.service_name} to App(…), or declare the command with @remote if it runs elsewhere",
            )
        return
    if command.name not in service.commands:
        known = ", ".join(service.commands) or "none"
        yield finding(f"and {service.name}/{service.version} has no such command; it has {known}", "correct the name")
        return
    if place.serves(command):
        return
    serving = [other for other in places if other.serves(command)]
    if not serving:
        yield finding(
            f"which no profile serves: {service.name} is enabled in none of {_names(places)}",
            f"add {service.name} to services.enabled of a profile",
        )
    elif not any(place.calls() & other.offers(command.label) for other in serving):
        yield finding(
            f"which only {_names(serving)} serves, and {_why(place, serving)}",
            f"enable {service.name} in {place.name} too, or meet on a broker: bridge.url with mqtt:// or mqtts:// and "
            "the same bridge.prefix in both",
        )


def _why(place: Place, serving: Sequence[Place]) -> str:
    if not place.is_remote:
        return f"the bridge of {place.name} reaches no other process"
    if not any(other.is_remote or other.uplink for other in serving):
        return "the bridge there reaches no other process"
    return f"nothing of it is offered under the prefix {place.settings.bridge.prefix!r} of {place.name}"


def _names(places: Sequence[Place]) -> str:
    return ", ".join(place.name for place in places)
