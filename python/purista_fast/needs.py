"""What the settings make of an application: which services run, their configurations, what their bridge lacks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from .config import Settings, fill
from .errors import ConfigError
from .service import Service
from .urls import scheme

if TYPE_CHECKING:
    from .bridges import Capability

__all__ = ("enabled", "lacking", "service_config")


def enabled(services: tuple[Service, ...], settings: Settings) -> tuple[Service, ...]:
    """The services that run.

    :raises ConfigError: if ``services.enabled`` names one that is not there.
    """
    wanted = settings.services.enabled
    if wanted is None:
        return services
    known = {service.name for service in services}
    unknown = sorted(set(wanted) - known)
    if unknown:
        raise ConfigError(
            f"{settings.source}: services.enabled: unknown {', '.join(unknown)}; this application has "
            f"{', '.join(sorted(known)) or 'none'}"
        )
    return tuple(service for service in services if service.name in wanted)


def service_config(service: Service, settings: Settings) -> msgspec.Struct | None:
    """The configuration of a service, from ``[config.<service>]``; ``None`` if it takes none.

    :raises ConfigError: for what does not fit, with source and key.
    """
    tree = settings.config.get(service.name, {})
    if service.config is None:
        if tree:
            raise ConfigError(f"{settings.source}: config.{service.name}: the service takes no configuration")
        return None
    return fill(service.config, tree, settings.source or "the defaults", f"config.{service.name}")


def lacking(services: Iterable[Service], capabilities: Collection[Capability], url: str) -> Iterator[str]:
    """What services ask of a bridge and it cannot give, each as a text.

    :param url: of the bridge.
    """
    kind = f"{scheme(url)}://"
    for service in services:
        for function in (*service.commands.values(), *service.subscriptions.values(), *service.timers.values()):
            if function.durable_events and "disk" not in capabilities:
                events = ", ".join(sorted(function.durable_events))
                yield f"{function.label} emits {events} with durability='disk', and {kind} keeps nothing on disk"
        for subscription in service.subscriptions.values():
            missing = subscription.needs.difference(capabilities)
            if missing:
                yield (
                    f"subscription {subscription.label} needs a bridge that is {', '.join(sorted(missing))}; "
                    f"{kind} is {', '.join(sorted(capabilities)) or 'none of it'}"
                )
