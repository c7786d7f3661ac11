"""What can be known before deployment: whether the profiles of an application fit together."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from ..config import load
from .calls import calls
from .events import events, wanted_event
from .finding import Finding
from .places import names, open_place
from .uplinks import uplinks

if TYPE_CHECKING:
    from ..app import App

__all__ = ("Finding", "Report", "check")


class Report(msgspec.Struct, kw_only=True):
    """The outcome."""

    app: str
    profiles: list[str]
    findings: list[Finding]
    without_invokes: list[str]
    """Handlers that do not declare what they invoke, so that nobody knows."""
    without_emits: list[str]
    """Handlers that do not declare what they emit; their ``success_event`` and ``result_event`` are known."""
    any_message: list[str]
    """Subscriptions by other filters than an event, of which nobody knows what they get."""


def check(
    app: App,
    *,
    config: str | None = None,
    profiles: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
) -> Report:
    """Looks at the profiles of an application together; nothing is started, opened or written.

    :param config: the configuration file; ``purista.toml`` of the current folder if there is one.
    :param profiles: those to look at, as if there were no others; all unless given.
    :param environ: variables that lie over each profile.
    :raises ConfigError: if the file cannot be read, or has no such profile.
    """
    chosen = names(config, profiles)
    findings: list[Finding] = []
    environ = {key: value for key, value in environ.items() if key != "PURISTA_PROFILE"}
    found = [
        open_place(app, name, partial(load, config, profile=profile, environ=environ), findings)
        for name, profile in chosen.items()
    ]
    places = [place for place in found if place is not None]
    if len(places) == len(found):  # with one that is not known, nobody knows what is missing elsewhere
        findings += [*calls(app, places), *events(app, places), *uplinks(app, places)]
    functions = {function.label: function for place in places for function in place.functions()}
    return Report(
        app=app.name,
        profiles=list(chosen),
        findings=findings,
        without_invokes=sorted(label for label, function in functions.items() if function.invokes is None),
        without_emits=sorted(label for label, function in functions.items() if function.emits is None),
        any_message=sorted({s.label for place in places for s in place.subscriptions() if wanted_event(s) is None}),
    )
