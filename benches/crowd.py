"""Others in the same application: subscriptions and commands that have nothing to do with what is measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from purista_fast import Context, Event, Service
from purista_fast.bench.dispatch import Payload

__all__ = ("crowd",)


def crowd(subscriptions: int, commands: int) -> Service:
    """A service with so many of them.

    Of ten subscriptions seven want an event of another name, one the measured event from another service, one another
    event of one tenant, and one watches a command of another service. Each is a copy of one that was made by decorator:
    to make each that way takes most of a minute under callgrind.
    """
    service = Service("Crowd")

    @service.subscription(Event("other", Payload))
    async def listener(ctx: Context, payload: Payload) -> None: ...

    @service.subscription(message_type="command", receiver={"service": "Crowd"})
    async def watcher(ctx: Context, payload: Any) -> None: ...

    @service.command
    async def answerer(ctx: Context, payload: Payload) -> Payload:
        return payload

    service.subscriptions.clear()
    service.commands.clear()
    for name, wanted in _wanted(subscriptions):
        model = watcher if "receiver" in wanted else listener
        service.subscriptions[name] = msgspec.structs.replace(model, name=name, filter=wanted)
    for number in range(commands):
        name = f"answerer{number}"
        service.commands[name] = msgspec.structs.replace(answerer, name=name)
    return service


def _wanted(count: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Names and filters."""
    for number in range(count):
        event: dict[str, Any] = {"eventName": f"other{number}"}
        odd: dict[int, dict[str, Any]] = {
            7: {"eventName": "measured", "sender": {"serviceName": f"Sender{number}"}},
            8: {**event, "tenantId": f"tenant{number}"},
            9: {"receiver": {"serviceName": f"Receiver{number}", "serviceTarget": "answer"}},
        }
        yield f"listener{number}", odd.get(number % 10, event)
