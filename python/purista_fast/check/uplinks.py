"""Whether what ``[uplink]`` names is there: events that go up or come down, commands that may be called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ..uplink.patterns import Patterns
from .events import externals, wanted_event
from .finding import Finding
from .places import Place

if TYPE_CHECKING:
    from ..app import App

__all__ = ("uplinks",)


def uplinks(app: App, places: Sequence[Place]) -> Iterator[Finding]:
    """What is wrong with the uplinks of profiles."""
    for place in places:
        if place.uplink is not None:
            yield from _uplink(app, place)


def _uplink(app: App, place: Place) -> Iterator[Finding]:
    uplink = place.uplink
    assert uplink is not None
    heard = {name for subscription in place.subscriptions() if (name := wanted_event(subscription)) is not None}
    served = {command.label for service in place.services for command in service.commands.values()}
    # What others emit goes up as well, if it passes by here.
    emitted = place.events | externals(app)
    for key, patterns, known, what in (
        # Other applications, whose events go up here too, are known to nobody.
        (
            "events",
            [] if uplink.instances else uplink.events,
            emitted,
            "no handler here declares to emit such an event",
        ),
        ("commands", uplink.commands, served, "no command here is called that"),
        ("listen", uplink.listen, heard, "no handler here listens to it"),
    ):
        for pattern in patterns:
            one = Patterns([pattern])
            if pattern != "*" and not any(one.match(name) for name in known):
                yield Finding(
                    kind="uplink",
                    profile=place.name,
                    about=pattern,
                    text=f"uplink.{key}: {pattern!r}: {what}; there are {', '.join(sorted(known)) or 'none'}",
                    change="correct the name, take it out, or enable the service that has it",
                )
