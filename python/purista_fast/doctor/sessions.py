"""Whether the broker keeps a session that is away, how much for it, and what it does where filters overlap: tried out
with sessions of our own, which end with the examination, or by themselves a minute later."""

from __future__ import annotations

from collections.abc import Iterator

from ..bridges.mqtt.broker import Broker
from .finding import Finding, broken, ok, warn
from .patient import Connection, probe_id

__all__ = ("DEEP", "SHALLOW", "check_overlap", "check_queue", "check_session")

SHALLOW, DEEP = 1200, 20_000
"""How many messages are queued for an absent session: more than the 1000 that mosquitto keeps by default."""
_LITTLE = 1100
_EXPIRY = 60
"""How long a session or a message of ours lasts if we cannot clean up, in seconds."""
_QUIET = 2.0
"""After how many seconds without a message no more will come."""
_WINDOW = 100
_DROPS = "the broker confirms events (PUBACK 0x00) and drops them; nobody is told"


def check_session(broker: Broker, topic: str, timeout: float) -> Iterator[Finding]:
    """Leaves a session, publishes, and comes back.

    :param topic: below which nobody else listens.
    :param timeout: in seconds.
    """
    plain, shared = f"{topic}/plain", f"{topic}/shared"
    client_id = probe_id()
    first = Connection(broker, timeout=timeout, client_id=client_id, session_expiry=_EXPIRY)
    first.subscribe(plain, f"$share/{client_id}/{shared}")
    first.close(_EXPIRY)
    with Connection(broker, timeout=timeout) as publisher:
        for name in (plain, shared):
            publisher.publish(name, expiry=_EXPIRY)
    with Connection(broker, timeout=timeout, client_id=client_id, clean_start=False) as again:
        if not again.connack.session_present:
            yield broken(
                "session",
                "the broker has forgotten a durable session as soon as its connection closed",
                "durable sessions at the broker",
                "every disconnect loses the events that come meanwhile",
            )
            return
        came: set[str] = set()
        while came != {plain, shared} and (message := again.message(_QUIET)):
            came.add(message.topic)
    lost = [name for name, where in (("plain", plain), ("shared", shared)) if where not in came]
    if lost:
        yield broken(
            "session",
            f"a durable session came back without the events of its {' and its '.join(lost)} subscription",
            "see the log of the broker",
            "events are lost at every disconnect",
        )
    else:
        yield ok("session", "a durable session and what waits in it are kept over a disconnect")


def check_queue(broker: Broker, topic: str, count: int, timeout: float) -> Iterator[Finding]:
    """Publishes for a session that is away, and counts what has waited for it.

    :param topic: where nobody else listens.
    :param count: how many messages.
    :param timeout: in seconds.
    """
    client_id = probe_id()
    first = Connection(broker, timeout=timeout, client_id=client_id, session_expiry=_EXPIRY)
    first.subscribe(topic)
    first.close(_EXPIRY)
    with Connection(broker, timeout=timeout) as publisher:
        window = min(_WINDOW, publisher.connack.property("ReceiveMaximum", 65_535))
        payloads = [b"%d" % number for number in range(count)]
        codes = publisher.publish_all(topic, payloads, expiry=_EXPIRY, window=window)
    confirmed = sum(code < 0x80 for code in codes)
    came = 0
    with Connection(broker, timeout=timeout, client_id=client_id, clean_start=False) as again:
        while came < confirmed and again.message(_QUIET):
            came += 1
    refused = f" ({count - confirmed} of {count} were refused, as they should be)" if confirmed < count else ""
    if came >= confirmed:
        yield ok("queue", f"all of {confirmed} messages have waited for a session that was away{refused}")
    elif came <= _LITTLE:
        yield broken(
            "queue",
            f"of {confirmed} confirmed messages for a session that was away {came} have waited{refused}",
            "max_queued_messages 100000 and max_queued_bytes to fit",
            _DROPS,
        )
    else:
        yield warn(
            "queue",
            f"of {confirmed} confirmed messages for a session that was away {came} have waited{refused}",
            "a larger max_queued_messages and max_queued_bytes, if an absence may bring more",
            _DROPS,
        )


def check_overlap(broker: Broker, topic: str, timeout: float) -> Iterator[Finding]:
    """Subscribes twice to the same topic, by two filters with identifiers.

    :param topic: below which nobody else listens.
    :param timeout: in seconds.
    """
    with Connection(broker, timeout=timeout) as connection:
        connection.subscribe(f"{topic}/+", identifier=1)
        connection.subscribe(f"{topic}/both", identifier=2)
        connection.publish(f"{topic}/both")
        named: list[int] = []
        copies = 0
        while set(named) != {1, 2} and (message := connection.message(_QUIET / 2)):
            copies += 1
            found = message.property("SubscriptionIdentifier", ())
            named += found if isinstance(found, list) else [found]
    if set(named) == {1, 2}:
        how = "one message with both identifiers" if copies == 1 else f"{copies} messages, each with its identifier"
        yield ok("overlap", f"filters that overlap get {how}: the bridge makes one of it")
    else:
        yield broken(
            "overlap",
            f"of two filters that overlap, the broker named {sorted(set(named)) or 'none'} of the identifiers 1 and 2",
            "another broker, or a newer release (mosquitto 2.0 and later do it right)",
            "some subscriptions miss events that another one of the same instance gets",
        )
