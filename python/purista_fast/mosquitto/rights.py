"""What an application must be allowed to publish and to receive on a broker, derived from its services."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from .._core import Address, Message, command_filter, response_filter, subscription_filter
from ..app import App
from ..bridges.base import Consumer
from ..bridges.mqtt.subscriptions import filters_of
from ..config import Settings
from ..definition import Command, Function, Subscription
from ..health import health
from ..presence import QUESTION
from ..service import Service

__all__ = (
    "ANY_INSTANCE",
    "Receives",
    "Sends",
    "doctor_topic",
    "enabled_services",
    "marker_topic",
    "own_answers",
    "own_messages",
    "presence_filters",
    "presence_kinds",
    "receives",
    "sample",
    "sends",
    "subscription_filters",
    "unshared",
)

ANY_INSTANCE = "%u"
"""Stands for whoever is connected, in mosquitto's rules."""
_STAND_IN = "standin"
"""A level that the topic conversion leaves as it is."""
_PRESENCE = (
    "info_service_init",
    "info_service_ready",
    "info_service_not_ready",
    "info_service_drain",
    "info_service_shutdown",
)


class Receives(msgspec.Struct, frozen=True):
    """Something that an application listens to."""

    what: str
    """For people: ``the command Thermo/1/store``."""
    filter: str
    """The topic filter, without the share group."""


class Sends(msgspec.Struct, frozen=True):
    """Something that an application publishes."""

    what: str
    topic: str
    """A topic of that kind; where any event or receiver is possible, one that nobody listens to."""


def enabled_services(app: App, settings: Settings) -> list[Service]:
    """The services of an application that the settings let run."""
    wanted = settings.services.enabled
    return [service for service in app.services if wanted is None or service.name in wanted]


def own_messages(prefix: str, instance: str) -> str:
    """The filter for everything that an instance publishes: its own id stands in the level of the sender.

    >>> own_messages("purista", "attic")
    'purista/+/+/+/attic/#'
    """
    return f"{prefix}/+/+/+/{instance}/#"


def own_answers(prefix: str, instance: str) -> str:
    """The filter for everything that is sent to one instance.

    >>> own_answers("purista", "attic")
    'purista/+/+/+/+/+/+/+/+/attic/+/+/+'
    """
    return response_filter(_STAND_IN, prefix=prefix).replace(f"/{_STAND_IN}/", f"/{instance}/")


def presence_kinds() -> tuple[str, ...]:
    """The topic levels of messages about who comes and goes."""
    return _PRESENCE


def presence_filters(prefix: str) -> list[str]:
    """The filters for who comes and goes, in the form of 13 levels and in PURISTA's of 12."""
    return [f"{prefix}/{kind}/#" for kind in _PRESENCE]


def marker_topic(prefix: str, instance: str) -> str:
    """Where an instance keeps a retained marker of what the broker has saved."""
    return f"purista_fast/{prefix}/marker/{instance}"


def doctor_topic(prefix: str, name: str) -> str:
    """Under which topic the doctor measures."""
    return f"purista_fast/{prefix}/doctor/{name}"


def receives(services: Iterable[Service], prefix: str) -> Iterator[Receives]:
    """The commands and subscriptions of services, with their filters, and those that every application has."""
    for service in services:
        for command in service.commands.values():
            yield Receives(f"the command {command.label}", unshared(command_filter(_address(command), prefix=prefix)))
        for subscription in service.subscriptions.values():
            for text in subscription_filters(subscription, prefix):
                yield Receives(f"the subscription {subscription.label}", unshared(text))
    yield Receives("the command for its health", unshared(command_filter(_address(health), prefix=prefix)))
    question = {"messageType": "customMessage", "eventName": QUESTION}
    yield Receives("the question who is alive", subscription_filter(question, shared=False, prefix=prefix))


def sends(services: Iterable[Service], prefix: str, instance: str) -> Iterator[Sends]:
    """What services publish, one topic for each kind: announcements, answers, events, invocations."""
    caller = Address("Doctor", "1", "doctor", "doctor")
    for service in services:
        about = Message("infoServiceReady", sender=Address(service.name, service.version, "", instance))
        yield Sends(f"announcements of {service.name}", about.topic(prefix))
        functions = [*service.commands.values(), *service.subscriptions.values(), *service.timers.values()]
        for function in functions:
            sender = Address(service.name, service.version, function.name, instance)
            if isinstance(function, Command):
                event = function.success_event.name if function.success_event else None
                for kind in ("commandSuccessResponse", "commandErrorResponse"):
                    named = event if kind == "commandSuccessResponse" else None
                    answer = Message(kind, sender=sender, receiver=caller, event_name=named)
                    yield Sends(f"answers of {function.label}", answer.topic(prefix))
            for event in _events(function):
                message = Message("customMessage", sender=sender, event_name=event)
                yield Sends(f"the event {event} of {function.label}", message.topic(prefix))
            for called in function.invokes or ():
                receiver = Address(called.service_name, called.service_version, called.name)
                message = Message("command", sender=sender, receiver=receiver)
                yield Sends(f"invocations of {called.label} by {function.label}", message.topic(prefix))


def unshared(text: str) -> str:
    """A filter without its share group: brokers judge by the topic of a message.

    >>> unshared("$share/group/a/+")
    'a/+'
    """
    return text.split("/", 2)[2] if text.startswith("$share/") else text


def sample(text: str, level: str = "doctor") -> str:
    """A topic that a filter matches."""
    return "/".join(level if part in ("+", "#") else part for part in text.split("/"))


def _events(function: Function) -> list[str]:
    """The events that a function may emit; one that nobody knows if it may emit any."""
    names = set(function.emits) if function.emits is not None else {"doctorProbe"}
    if isinstance(function, Subscription) and function.result_event is not None:
        names.add(function.result_event.name)
    return sorted(names)


def _address(command: Command[..., Any]) -> dict[str, str]:
    return {
        "serviceName": command.service_name,
        "serviceVersion": command.service_version,
        "serviceTarget": command.name,
    }


def subscription_filters(subscription: Subscription[..., Any], prefix: str) -> list[str]:
    """The topic filters of a subscription on a broker, with the share group where it has one."""

    async def ignore(_: Message) -> None: ...

    consumer = Consumer(
        address=Address(subscription.service_name, subscription.service_version, subscription.name),
        subscription=subscription.filter,
        message_types=subscription.message_types,
        handle=ignore,
        shared=subscription.shared,
    )
    return filters_of(consumer, prefix)
