"""Whether the access rules of the broker let an application do what it needs, without anybody noticing the trial.

Publishing is tried with QoS 2: the broker judges at once, and hands the message on only when it is released, which
never happens. Receiving cannot be tried like that: mosquitto grants every subscription and drops what may not be read.
So only what nobody acts on is sent: answers to ourselves, and with ``deep`` events whose name no consumer knows, though
its topic is theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from .._core import Address, Message, encode, snake_case
from ..bridges.mqtt.broker import Broker
from ..definition import Subscription
from ..mosquitto.acl import Rules
from ..mosquitto.rights import Receives, Sends, marker_topic, own_answers, receives, sample, sends
from ..service import Service
from .finding import Finding, broken, ok, warn
from .patient import Broken, Connection, probe_id

__all__ = ("check_application", "check_rules")

_WAIT = 1.0
_SHOWN = 5
"""How many things are named in one finding."""


def check_application(
    broker: Broker,
    services: Sequence[Service],
    prefix: str,
    instance: str,
    timeout: float,
    *,
    deep: bool,
    has_rules: bool,
) -> Iterator[Finding]:
    """Tries what an application needs.

    :param instance: the instance id that it runs under.
    :param timeout: in seconds.
    :param deep: whether events are sent that running instances receive, and ignore.
    :param has_rules: whether a file with the rules was read, so that what cannot be tried is known nevertheless.
    """
    yield from _publishing(broker, services, prefix, instance, timeout)
    findings, untried = _receiving(broker, services, prefix, instance, timeout, deep=deep)
    yield from findings
    if any(finding.level == "broken" for finding in findings):
        return
    if not untried or has_rules:
        yield ok("receiving", "subscriptions are granted, and answers arrive")
    elif _is_open(broker, timeout):
        yield ok("receiving", "subscriptions are granted, answers arrive, and no access rules tell topics apart")
    else:
        yield warn(
            "receiving",
            f"subscriptions are granted and answers arrive; not known for {_listed(untried)}",
            "--broker-config FILE reads the access rules" + ("" if deep else ", --deep sends events that are ignored"),
            "the broker drops what may not be read without a word",
        )


def check_rules(rules: Rules, services: Sequence[Service], prefix: str, instance: str, user: str) -> Iterator[Finding]:
    """Judges the rules of a file, receiving included."""
    wanted: list[tuple[str, str]] = [(need.what, need.filter) for need in receives(services, prefix)]
    wanted.append(("the answers to its invocations", own_answers(prefix, instance)))
    wanted.append(("its marker", marker_topic(prefix, instance)))
    unread = [what for what, text in wanted if not rules.allow("read", sample(text), user=user, client_id=instance)]
    marker = Sends("its marker", marker_topic(prefix, instance))
    outgoing = [*sends(services, prefix, instance), marker]
    unwritten = [s.what for s in outgoing if not rules.allow("write", s.topic, user=user, client_id=instance)]
    who = f"user {user!r} (instance {instance!r})"
    if unwritten:
        yield _unpublished(unwritten, f"the access rules do not let {who} publish", prefix)
    if unread:
        yield broken(
            "receiving",
            f"the access rules do not let {who} receive {_listed(unread)}",
            _lines(unread, wanted),
            "the broker grants the subscription, and drops every message for it without a word",
        )
    if not unwritten and not unread:
        yield ok("access rules", f"the access rules let {who} publish and receive all that the services need")


def _publishing(
    broker: Broker, services: Sequence[Service], prefix: str, instance: str, timeout: float
) -> Iterator[Finding]:
    wanted = [*sends(services, prefix, instance), Sends("its marker", marker_topic(prefix, instance))]
    with Connection(broker, timeout=timeout) as connection:
        if connection.connack.property("MaximumQoS", 2) < 2:
            yield warn("publishing", "not tried: that takes QoS 2, which this broker denies", "max_qos 2 for the trial")
            return
        window = connection.connack.property("ReceiveMaximum", 65_535)
    denied: list[str] = []
    # What is not released counts against the window of its connection, for good.
    for start in range(0, len(wanted), window):
        with Connection(broker, timeout=timeout) as connection:
            denied += [s.what for s in wanted[start : start + window] if connection.offer(s.topic) >= 0x80]
    if denied:
        yield _unpublished(denied, f"the broker does not let instance {instance!r} publish", prefix)
    else:
        yield ok("publishing", f"the broker takes all {len(wanted)} kinds of messages that the services publish")


def _receiving(
    broker: Broker, services: Sequence[Service], prefix: str, instance: str, timeout: float, *, deep: bool
) -> tuple[list[Finding], list[str]]:
    """What is wrong, and what could not be tried."""
    wanted = list(receives(services, prefix))
    with Connection(broker, timeout=timeout) as connection:
        # Never by the share groups: for a moment we would take messages from the instances that run.
        refused = [need.what for need in _answers_first(wanted, prefix, instance) if not _granted(connection, need)]
    if refused:
        return [broken("receiving", f"the broker refuses {_listed(refused)}", "allow these subscriptions")], []
    own = _answer_to_self(services, instance)
    if not _arrives(broker, own.topic(prefix), encode(own), own_answers(prefix, instance), timeout):
        finding = broken(
            "receiving",
            f"what is sent to instance {instance!r} does not arrive, though its subscription was granted",
            f"topic read {own_answers(prefix, instance)}",
            "every invocation ends in 504",
        )
        return [finding], []
    unread, untried = [], []
    for subscription in (s for service in services for s in service.subscriptions.values()):
        probe = _ignored_event(subscription, services[0], instance) if deep else None
        if probe is None:
            untried.append(f"the subscription {subscription.label}")
        elif not _arrives(broker, probe.topic(prefix), encode(probe), _plain(wanted, subscription), timeout):
            unread.append(f"the subscription {subscription.label}")
    untried += [f"the command {command.label}" for service in services for command in service.commands.values()]
    if not unread:
        return [], untried
    finding = broken(
        "receiving",
        f"events do not arrive for {_listed(unread)}, though the subscription was granted",
        _lines(unread, [(need.what, need.filter) for need in wanted]),
        "the broker drops every message for it without a word",
    )
    return [finding], untried


def _is_open(broker: Broker, timeout: float) -> bool:
    """Whether we receive on a topic that no rule can have foreseen: then there are no rules by topic."""
    topic = probe_id()
    with Connection(broker, timeout=timeout) as connection:
        connection.subscribe(topic)
        return connection.publish(topic) < 0x80 and connection.message(_WAIT) is not None


def _answers_first(wanted: Iterable[Receives], prefix: str, instance: str) -> Iterator[Receives]:
    yield Receives("the subscription to its own answers", own_answers(prefix, instance))
    yield from wanted


def _granted(connection: Connection, need: Receives) -> bool:
    return connection.subscribe(need.filter, qos=1) < 0x80


def _arrives(broker: Broker, topic: str, payload: bytes, text: str, timeout: float) -> bool:
    """Whether a message comes through a filter; others that come meanwhile do not count."""
    with Connection(broker, timeout=timeout) as connection:
        connection.subscribe(text)
        try:
            if connection.publish(topic, payload, expiry=1) >= 0x80:
                return False
        except Broken:
            return False
        while message := connection.message(_WAIT):
            if message.topic == topic and message.payload == payload:
                return True
    return False


def _answer_to_self(services: Sequence[Service], instance: str) -> Message:
    """An answer to an invocation that nobody made: a running instance counts it as late."""
    service = services[0]
    return Message(
        "commandSuccessResponse",
        sender=Address(service.name, service.version, "doctor", instance),
        receiver=Address("Doctor", "1", "doctor", instance),
        payload=b"null",
        correlation_id="doctor",
    )


def _ignored_event(subscription: Subscription[..., object], service: Service, instance: str) -> Message | None:
    """An event on the topic of a subscription to an event, with a name that differs from it: consumers compare the
    names, and leave it. ``None`` if there is no such name, or the subscription is about something else."""
    name = subscription.filter.get("eventName")
    if not isinstance(name, str) or set(subscription.filter) != {"eventName"}:
        return None
    if subscription.message_types and "customMessage" not in subscription.message_types:
        return None
    level = snake_case(name)
    for other in (level, name[:1].swapcase() + name[1:], name.upper(), f"{level}_", level.replace("_", "-")):
        if other != name and other and snake_case(other) == level:
            sender = Address(service.name, service.version, "doctor", instance)
            return Message("customMessage", sender=sender, event_name=other, payload=b"null")
    return None


def _plain(wanted: Iterable[Receives], subscription: Subscription[..., object]) -> str:
    what = f"the subscription {subscription.label}"
    return next(need.filter for need in wanted if need.what == what)


def _unpublished(what: Sequence[str], text: str, prefix: str) -> Finding:
    return broken(
        "publishing",
        f"{text} {_listed(what)}",
        f"pattern write {prefix}/+/+/+/%u/# and pattern readwrite {marker_topic(prefix, '%u')}, with the instance id "
        "as the user name (`purista-fast mosquitto config` writes the rules)",
        "these messages are refused with 403; callers wait for answers until 504",
    )


def _lines(what: Sequence[str], pairs: Sequence[tuple[str, str]]) -> str:
    texts = dict.fromkeys(text for name, text in pairs if name in what)
    return ", ".join(f"topic read {text}" for text in list(texts)[:_SHOWN])


def _listed(what: Sequence[str]) -> str:
    names = list(dict.fromkeys(what))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
