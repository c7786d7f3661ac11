"""Whether every event that is subscribed is emitted where it can be heard, or declared as coming from outside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..definition import Subscription
from .finding import Finding
from .places import Place

if TYPE_CHECKING:
    from ..app import App

__all__ = ("events", "externals", "wanted_event")


def wanted_event(subscription: Subscription[..., Any]) -> str | None:
    """The name of the event that a subscription is made with; ``None`` for other filters, on any message."""
    is_event = "customMessage" in subscription.message_types and "commandSuccessResponse" in subscription.message_types
    return subscription.filter.get("eventName") if is_event else None


def externals(app: App) -> set[str]:
    """The events that are declared as coming from outside."""
    return {
        name
        for service in app.services
        for subscription in service.subscriptions.values()
        if subscription.external and (name := wanted_event(subscription)) is not None
    }


def events(app: App, places: Sequence[Place]) -> Iterator[Finding]:
    """What is wrong with the events that handlers listen to."""
    outside = externals(app)
    services = {service.name for service in app.services}
    for place in places:
        for subscription in place.subscriptions():
            name = wanted_event(subscription)
            sender = subscription.filter.get("sender", {}).get("serviceName")
            # What another service than those here sends comes from outside as well.
            if name is not None and name not in outside and (sender is None or sender in services):
                yield from _event(places, place, subscription, name)


def _event(places: Sequence[Place], place: Place, subscription: Subscription[..., Any], name: str) -> Iterator[Finding]:
    def finding(what: str, change: str) -> Finding:
        text = f"{subscription.label} listens to {name}, {what}"
        return Finding(
            kind="event", profile=place.name, text=text, handler=subscription.label, about=name, change=change
        )

    if name in place.events:
        return
    emitting = [other for other in places if name in other.events]
    outside = f"or declare it by Event({name!r}, …, external=True) if it comes from outside"
    if not emitting:
        where = ", ".join(place.name for place in places)
        yield finding(
            f"which no handler in {where} declares to emit",
            f"name it in emits=, success_event= or result_event= of the handler that emits it; {outside}",
        )
    elif not any(other.emits(name) & place.hears(name) for other in emitting):
        where = ", ".join(other.name for other in emitting)
        if not place.hears(name):
            why = f"the bridge of {place.name} reaches no other process"
        elif not any(other.emits(name) for other in emitting):
            why = "the bridge there reaches no other process, and no uplink takes it up"
        else:
            why = f"{place.name} does not listen under the prefix where it is sent"
        yield finding(
            f"which only {where} emits, and {why}",
            "meet on a broker: bridge.url with mqtt:// or mqtts:// and the same bridge.prefix in both, or an [uplink] "
            f"with it in uplink.events there or uplink.listen here; {outside}",
        )
