"""Where an application runs: each profile of a configuration, with the services that run there and who they reach."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from ..bridges import check_bridge
from ..config import FILE, Settings
from ..definition import Command, Function, Subscription
from ..errors import ConfigError
from ..needs import enabled, lacking, service_config
from ..schedules import check_times
from ..tree import profiles_of, read_file
from ..uplink.patterns import Patterns
from ..urls import scheme
from .finding import Finding

if TYPE_CHECKING:
    from ..app import App
    from ..service import Service

__all__ = ("DEFAULT", "Place", "names", "open_place")

DEFAULT = "default"
"""The place of a configuration without profiles, or beside them."""


class Place:
    """A profile, and what runs there.

    :param services: those that are enabled.
    :param is_remote: whether its bridge reaches other processes.
    """

    def __init__(self, name: str, settings: Settings, services: Sequence[Service], *, is_remote: bool) -> None:
        self.name = name
        self.settings = settings
        self.services = tuple(services)
        self.is_remote = is_remote
        self.uplink = settings.uplink if settings.uplink is not None and settings.uplink.enabled else None
        self._own = {settings.bridge.prefix} if is_remote else set()
        events = {name for function in self.functions() for name in emitted(function)}
        self.events = events | ({settings.dead_letters.event} if settings.dead_letters.event else set())
        """What handlers here declare to emit."""

    def functions(self) -> Iterator[Function]:
        """All handlers."""
        for service in self.services:
            yield from (*service.commands.values(), *service.subscriptions.values(), *service.timers.values())

    def subscriptions(self) -> Iterator[Subscription[..., object]]:
        """All subscriptions."""
        for service in self.services:
            yield from service.subscriptions.values()

    def serves(self, command: Command[..., object]) -> bool:
        """Whether a command runs here."""
        return any(
            (service.name, service.version) == (command.service_name, command.service_version)
            and command.name in service.commands
            for service in self.services
        )

    # Networks are told apart by the first level of their topics: which broker a name stands for depends on where it is
    # asked.

    def calls(self) -> set[str]:
        """The networks that its commands go out to."""
        return self._own

    def offers(self, label: str) -> set[str]:
        """The networks where a command of its services can be called."""
        return self._own | self._above("commands", label)

    def emits(self, event: str) -> set[str]:
        """The networks that an event of it goes out to."""
        return self._own | self._above("events", event)

    def hears(self, event: str) -> set[str]:
        """The networks where it listens to an event."""
        return self._own | self._above("listen", event)

    def _above(self, what: str, name: str) -> set[str]:
        if self.uplink is None or not Patterns(getattr(self.uplink, what)).match(name):
            return set()
        return {self.uplink.prefix}


def emitted(function: Function) -> set[str]:
    """The events that a handler declares to emit."""
    result = getattr(function, "success_event", None) or getattr(function, "result_event", None)
    return set(function.emits or ()) | ({result.name} if result is not None else set())


def names(file: str | None, chosen: Sequence[str] = ()) -> dict[str, str | None]:
    """The places to look at, each with its profile: those chosen, else all of the file.

    What stands outside of profiles is one as well, ``default``, where there is no other, or where it says itself which
    services it runs; otherwise it is what the others have in common.

    :param file: the configuration file; ``None`` reads ``purista.toml``, if it is there.
    :raises ConfigError: if the file cannot be read, or has no such profile.
    """
    path = FILE if file is None else file
    tree = read_file(path) if file is not None or os.path.isfile(path) else {}
    profiles: dict[str, str | None] = {name: name for name in profiles_of(tree, path)}
    services = tree.get("services")
    alone = not profiles or (isinstance(services, dict) and "enabled" in services)
    known = {DEFAULT: None, **profiles}
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise ConfigError(f"{path} has no profile {unknown[0]!r}; it has: {', '.join(known)}")
    if chosen:
        return {name: known[name] for name in chosen}
    return known if alone else profiles


def open_place(app: App, name: str, settings: Callable[[], Settings], findings: list[Finding]) -> Place | None:
    """One place; ``None`` if its settings are wrong. What is wrong is added to the findings.

    :param settings: loads them.
    """

    def wrong(error: ConfigError) -> None:
        findings.append(Finding(kind="configuration", profile=name, text=str(error)))

    try:
        found = settings()
    except ConfigError as error:
        wrong(error)
        return None
    services: tuple[Service, ...] = app.services
    try:
        services = enabled(app.services, found)
    except ConfigError as error:
        wrong(error)
        services = tuple(service for service in services if service.name in (found.services.enabled or ()))
    for service in services:
        try:
            config = service_config(service, found)
            for timer in service.timers.values():
                check_times(timer.schedule, config, timer.label)
        except ConfigError as error:
            wrong(error)
    known = {service.name for service in app.services}
    for table in sorted(set(found.config) - known):
        wrong(ConfigError(f"{found.source}: config.{table}: no service is called that; there are {_all(known)}"))
    try:
        capabilities = check_bridge(found, app._token)
        if found.app.workers is not None and scheme(found.bridge.url) == "memory":
            raise ConfigError(f"{found.source}: app.workers: workers share nothing over memory://")
    except ConfigError as error:
        wrong(error)
        capabilities = frozenset()
    else:
        change = "choose another bridge.url there, or leave the service out by services.enabled"
        lacks = lacking(services, capabilities, found.bridge.url)
        findings += [Finding(kind="bridge", profile=name, text=text, change=change) for text in lacks]
    return Place(name, found, services, is_remote="remote" in capabilities)


def _all(found: set[str]) -> str:
    return ", ".join(sorted(found)) or "none"
