"""An application as plain data: what ``purista-fast inspect`` prints."""

from __future__ import annotations

import inspect
import re
import time
from typing import Any

import msgspec

from .._core import command_filter
from ..app import App
from ..config import Settings
from ..definition import Command, Function, Subscription, Timer
from ..errors import ConfigError
from ..mosquitto.rights import subscription_filters
from ..needs import service_config
from ..schedules import Cron
from ..service import Service

__all__ = ("describe", "type_name")

_NEXT_RUNS = 3
_MODULES = re.compile(r"\b(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])")


def describe(app: App, settings: Settings) -> dict[str, Any]:
    """The services of an application with all that they have, as it would be written in JSON."""
    wanted = settings.services.enabled
    return {
        "name": app.name,
        "services": [_service(service, settings, wanted is None or service.name in wanted) for service in app.services],
    }


def type_name(annotation: Any) -> str:
    """An annotation in short, for people.

    >>> type_name(dict[str, float]), type_name(None), type_name(int | None)
    ('dict[str, float]', 'null', 'int | null')
    """
    if annotation is Any:
        return "any"
    if annotation in (None, type(None)):
        return "null"
    if isinstance(annotation, type) and not hasattr(annotation, "__args__"):
        return annotation.__name__
    if hasattr(annotation, "__metadata__"):
        return type_name(annotation.__origin__)
    return _MODULES.sub("", str(annotation)).replace("NoneType", "null").replace("None", "null")


def _service(service: Service, settings: Settings, enabled: bool) -> dict[str, Any]:
    prefix = settings.bridge.prefix
    return {
        "name": service.name,
        "version": service.version,
        "description": service.description,
        "enabled": enabled,
        "config": _config(service.config),
        "commands": [_command(command, prefix) for command in service.commands.values()],
        "subscriptions": [_subscription(found, prefix) for found in service.subscriptions.values()],
        "timers": [_timer(timer, service, settings) for timer in service.timers.values()],
    }


def _config(config: type[msgspec.Struct] | None) -> list[dict[str, Any]]:
    """The keys of ``[config.<service>]``."""
    if config is None:
        return []
    return [
        {"name": field.encode_name, "type": type_name(field.type), "default": _default(field)}
        for field in msgspec.structs.fields(config)
    ]


def _default(field: msgspec.structs.FieldInfo) -> str:
    """A default as it would be written in TOML, or near to it; empty for a key that must be given."""
    if field.required:
        return ""
    factory = field.default_factory
    value = field.default if factory is msgspec.NODEFAULT else factory()
    return msgspec.json.encode(value, enc_hook=repr).decode()


def _function(function: Function) -> dict[str, Any]:
    signature = function.signature
    payload, parameter = signature.payload, signature.parameter
    return {
        "name": function.name,
        "description": function.description,
        "payloadType": None if payload is None else type_name(payload.type),
        "payloadSchema": None if payload is None else payload.schema(),
        "payloadRequired": signature.needs_payload,
        "parameterTypes": _parameters(function),
        "parameterSchema": None if parameter is None else parameter.schema(),
        "invokes": None if function.invokes is None else sorted(command.label for command in function.invokes),
        "emits": None if function.emits is None else sorted(function.emits),
        "runsInThread": not signature.is_async,
    }


def _parameters(function: Function) -> list[str]:
    """The parameters as they are written in the handler: ``site: str = 'home'``."""
    found = inspect.signature(function.function, eval_str=True).parameters.values()
    return [
        f"{p.name}: {'any' if p.annotation is p.empty else type_name(p.annotation)}"
        + ("" if p.default is p.empty else f" = {p.default!r}")
        for p in found
        if p.kind is p.KEYWORD_ONLY
    ]


def _command(command: Command[..., Any], prefix: str) -> dict[str, Any]:
    address = {
        "serviceName": command.service_name,
        "serviceVersion": command.service_version,
        "serviceTarget": command.name,
    }
    result = command.signature.result
    return {
        **_function(command),
        "resultType": type_name(result.type),
        "resultSchema": result.schema(),
        "successEvent": command.success_event.name if command.success_event else None,
        "topicFilter": command_filter(address, prefix=prefix),
    }


def _subscription(subscription: Subscription[..., Any], prefix: str) -> dict[str, Any]:
    batch, item = subscription.batch, subscription.item
    return {
        **_function(subscription),
        **({} if item is None else {"payloadType": type_name(item.type), "payloadSchema": item.schema()}),
        "filter": dict(subscription.filter),
        "messageTypes": list(subscription.message_types),
        "resultEvent": subscription.result_event.name if subscription.result_event else None,
        "shared": subscription.shared,
        "concurrency": subscription.concurrency,
        "batch": None if batch is None else {"maxItems": batch.max_items, "within": batch.within},
        "queueSize": subscription.capacity,
        "overflow": "drop_oldest" if subscription.drop_oldest else "wait",
        "needs": sorted(subscription.needs),
        "topicFilters": subscription_filters(subscription, prefix),
    }


def _timer(timer: Timer, service: Service, settings: Settings) -> dict[str, Any]:
    return {
        "name": timer.name,
        "description": timer.description,
        **_schedule(timer, service, settings),
        "emits": None if timer.emits is None else sorted(timer.emits),
        "invokes": None if timer.invokes is None else sorted(command.label for command in timer.invokes),
        "runsInThread": not timer.signature.is_async,
    }


def _schedule(timer: Timer, service: Service, settings: Settings) -> dict[str, Any]:
    """When it runs, with these settings."""
    schedule = timer.schedule
    found: dict[str, Any] = {"schedule": schedule.describe(), "jitter": schedule.jitter, "missed": schedule.missed}
    try:
        config = service_config(service, settings) if schedule.asks_configuration else None
        if isinstance(schedule, Cron):
            slots = schedule.slots_for(config, timer.label)
            runs = slots.next(time.time(), _NEXT_RUNS)
            return {**found, "cron": slots.expression, "timezone": schedule.timezone, "nextRuns": runs}
        return {**found, "interval": schedule.interval_for(config, timer.label)}
    except ConfigError as error:
        return {**found, "problem": str(error)}
