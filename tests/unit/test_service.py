"""The decorators of a service: what they collect and what they refuse."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from purista_fast import Batch, Command, Context, DefinitionError, Event, Service, Subscription, remote
from purista_fast.schedules import Every

stored = Event("stored", int)


async def handler(ctx: Context, payload: int) -> int:
    """Says what it does.

    And more.
    """
    return payload


async def context_only(ctx: Context) -> None: ...


def plain_guard(ctx: Any, payload: Any, parameter: Any) -> None: ...


def test_a_command() -> None:
    service = Service("Thermo", version="2", description="d")
    command = service.command(handler)
    assert isinstance(command, Command)
    assert service.commands == {"handler": command}
    assert str(command) == command.label == "Thermo/2/handler"
    assert repr(command) == "<command Thermo/2/handler>"
    assert command.description == "Says what it does.\n\nAnd more."
    assert repr(service) == "Service('Thermo', version='2')"


def test_a_command_with_options() -> None:
    service = Service("Thermo")
    command = service.command(name="storeIt", success_event=stored)(handler)
    assert (command.name, command.success_event) == ("storeIt", stored)
    again = command.using(timeout=2, instance_id="i", event_name="e")
    assert (again.options.timeout, again.options.instance_id, again.options.event_name) == (2, "i", "e")
    assert again.base is command
    assert again.using().base is command
    assert command.options.timeout is None


def test_a_subscription_by_event() -> None:
    service = Service("Thermo")
    subscription = service.subscription(stored, tenant_id="t", sender={"service": "A", "instance": "i"})(handler)
    assert isinstance(subscription, Subscription)
    assert subscription.filter == {
        "eventName": "stored",
        "tenantId": "t",
        "sender": {"serviceName": "A", "instanceId": "i"},
    }
    assert subscription.message_types == ("customMessage", "commandSuccessResponse")
    assert repr(subscription) == "<subscription Thermo/1/handler>"


def test_a_subscription_by_type_and_name() -> None:
    service = Service("Thermo")
    assert service.subscription(message_type="command")(handler).message_types == ("command",)
    named = service.subscription(name="other", event_name="e")(handler)
    assert (named.message_types, named.filter) == ((), {"eventName": "e"})


def test_a_timer() -> None:
    service = Service("Clock")
    timer = service.every(0.5)(context_only)
    assert service.timers == {"context_only": timer}
    assert timer.schedule == Every(0.5)


def test_events() -> None:
    assert repr(stored) == "Event('stored', int)"
    assert repr(Event("all")) == "Event('all', Any)"
    assert repr(Event("many", list[int])) == "Event('many', list[int])"


def test_a_remote_command() -> None:
    @remote("User", "1", name="signUp")
    async def sign_up(ctx: Context, payload: int) -> int:
        """Signs up."""
        raise NotImplementedError

    assert (sign_up.label, sign_up.is_remote, sign_up.description) == ("User/1/signUp", True, "Signs up.")
    assert repr(sign_up) == "<remote command User/1/signUp>"


async def handler_of_many(ctx: Context, payloads: list[int], *, site: str = "home") -> None: ...


def test_a_batch() -> None:
    service = Service("A")

    @service.subscription(stored, batch=Batch(2, within=1.0))
    async def typed(ctx: Context, payloads: list[int]) -> None: ...

    @service.subscription(stored, batch=Batch(2, within=1.0))
    async def untyped(ctx: Context, payloads) -> None: ...  # type: ignore[no-untyped-def]

    assert [found.item.type for found in (typed, untyped) if found.item] == [int, Any]
    assert typed.batch == Batch(max_items=2, within=1.0)


def twice(service: Service) -> None:
    service.command(handler)
    service.subscription(stored)(handler)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "no name": (lambda: Service(""), "the name of a service must be a text that is not empty, not ''"),
    "no text": (lambda: Service(1), "the name of a service must be a text"),  # type: ignore[arg-type]
    "a long name": (lambda: Service("x" * 201), "the name of a service has 201 characters; 200 are allowed: 'xxx"),
    "symbols": (lambda: Service("+"), "the name of a service needs letters or digits, '+' cannot be part of a topic"),
    "a version of symbols": (lambda: Service("A", version="#"), "the version of service A needs letters or digits"),
    "a command of symbols": (lambda: Service("A").command(name="/")(handler), "a command of A needs letters or digits"),
    "an event of symbols": (lambda: Event("#"), "the name of an event needs letters or digits"),
    "an event of an unknown type": (lambda: Event("e", Callable[[], None]), "cannot be a payload"),
    "twice": (lambda: twice(Service("A")), "A/1 already has a handler 'handler'; give one a `name=`"),
    "no function": (lambda: Service("A").command(1), "a command of A needs a function, not 1"),  # type: ignore[call-overload]
    "two filters of an event": (
        lambda: Service("A").subscription(stored, event_name="e"),
        "give an event or an event_name, not both",
    ),
    "an empty filter": (lambda: Service("A").subscription()(handler), "filter"),
    "an unknown message type": (lambda: Service("A").subscription(message_type="comand")(handler), "comand"),
    "an unknown overflow": (
        lambda: Service("A").subscription(stored, overflow="drop"),  # type: ignore[arg-type]
        'overflow must be "wait" or "drop_oldest", not \'drop\'',
    ),
    "no concurrency": (lambda: Service("A").subscription(stored, concurrency=0), "must be at least 1, not 0 and 1000"),
    "no queue": (lambda: Service("A").subscription(stored, queue_size=0), "must be at least 1, not 1 and 0"),
    "a batch of nothing": (lambda: Batch(0, within=1.0), "Batch(max_items=0, within=1.0) cannot work"),
    "a batch for ever": (lambda: Batch(2, within=float("inf")), "Batch(max_items=2, within=inf) cannot work"),
    "a batch at no time": (lambda: Batch(2, within=float("nan")), "Batch(max_items=2, within=nan) cannot work"),
    "a batch of a float": (lambda: Batch(2.0, within=1.0), "Batch(max_items=2.0, within=1.0) cannot work"),  # type: ignore[arg-type]
    "a batch for a handler of one": (
        lambda: Service("A").subscription(stored, batch=Batch(2, within=1.0))(handler),
        "subscription A/1/handler has a batch, so its payload must be a list: `payloads: list[Reading]`",
    ),
    "a batch for a handler of none": (
        lambda: Service("A").subscription(stored, batch=Batch(2, within=1.0))(context_only),
        "has a batch, so its payload must be a list",
    ),
    "a batch with a parameter": (
        lambda: Service("A").subscription(stored, batch=Batch(2, within=1.0))(handler_of_many),
        "subscription A/1/handler_of_many has a batch, so it can have no parameter: ['site']",
    ),
    "batches at the same time": (
        lambda: Service("A").subscription(stored, batch=Batch(2, within=1.0), concurrency=2),
        "batches are handled one after the other: concurrency must be 1, not 2",
    ),
    "an unknown part of an address": (
        lambda: Service("A").subscription(stored, sender={"name": "x"}),  # type: ignore[dict-item]
        "sender has no ['name']; it has ['instance', 'service', 'target', 'version']",
    ),
    "a plain guard": (
        lambda: Service("A").command(before=[plain_guard])(handler),  # type: ignore[list-item]
        "must be an async function of context, payload, parameter",
    ),
    "a timer that takes more": (lambda: Service("A").every(1)(handler), "takes the context and nothing else"),
    "no interval": (lambda: Service("A").every(0), "a timer's interval must be above 0 seconds, not 0"),
    "an interval that is no number": (lambda: Service("A").every(float("nan")), "must be above 0 seconds, not nan"),
    "a remote command of symbols": (lambda: remote("+", "1")(handler), "the name of a service needs letters or digits"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_refused(what: str) -> None:
    define, words = REFUSED[what]
    with pytest.raises(DefinitionError, match=re.escape(words)):
        define()
