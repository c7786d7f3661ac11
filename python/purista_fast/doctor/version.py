"""Which broker it is, what is known of that release, and what it has dropped so far."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .finding import Finding, ok, warn
from .patient import Connection

__all__ = ("check_version", "known_problems")

Release = tuple[int, int, int]
_VERSION = "$SYS/broker/version"
_DROPPED = "$SYS/broker/publish/messages/dropped"
_WAIT = 1.0
_PROBLEMS: tuple[tuple[Release, Release, str], ...] = (
    ((1, 6, 0), (2, 0, 12), "a durable session comes back from the database without its shared subscriptions, until "
     "the instance connects again: what is published before that is lost to it"),
    ((2, 0, 0), (2, 0, 15), "sessions that come back from the database are not looked at for their expiry"),
    ((2, 0, 0), (2, 0, 15), "an expired message can keep those behind it from being delivered"),
    ((2, 0, 0), (2, 0, 13), "wills are not published where per_listener_settings is true"),
    ((2, 0, 16), (2, 0, 17), "max_queued_messages 0 drops everything, and max_inflight_messages is not applied"),
    ((2, 0, 0), (2, 0, 22), "max_queued_messages 0 is not taken as unlimited in all cases: give a number"),
    ((2, 0, 0), (2, 0, 22), "a client whose keep-alive equals max_keepalive can be dropped"),
    ((0, 0, 0), (2, 1, 0), "no word (0x8E) to a client whose session another one takes over: a second process with the "
     "same instance id is found out after five connections only"),
    ((2, 0, 0), (2, 1, 0), "a bridge with bridge_protocol_version mqttv50 ends its session at the other broker with "
     "its connection: use mqttv311"),
)  # fmt: skip
"""From which release, before which release, and what is wrong; from the releases' own notes and from tests of ours."""


def known_problems(version: Release) -> list[tuple[str, Release]]:
    """What is known to be wrong with a release of mosquitto, and the release that mends it.

    >>> known_problems((2, 1, 2))
    []
    """
    return [(text, until) for since, until, text in _PROBLEMS if since <= version < until]


def check_version(connection: Connection) -> Iterator[Finding]:
    """Asks the broker by ``$SYS``."""
    connection.subscribe(_VERSION, _DROPPED)
    told: dict[str, str] = {}
    while len(told) < 2:
        message = connection.message(_WAIT)
        if message is None:
            break
        told[message.topic] = message.payload.decode("utf-8", "replace")
    yield from _version(told.get(_VERSION))
    dropped = told.get(_DROPPED, "")
    if dropped.isdecimal() and int(dropped):
        # Messages of QoS 0 and those of an earlier examination count as well, so this alone breaks no promise.
        yield warn(
            "dropped",
            f"the broker has dropped {dropped} messages since it started, for clients that were away or slow",
            "max_queued_messages and max_queued_bytes: messages a second times the longest absence",
            "events among them were confirmed, and are lost; those of an earlier trial of the doctor count as well",
        )
    elif dropped.isdecimal():
        yield ok("dropped", "the broker has dropped no message since it started")


def _version(text: str | None) -> Iterator[Finding]:
    if text is None:
        yield ok("version", "the broker does not tell its version: no mosquitto, or $SYS/broker/version is denied")
        return
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", text)
    if not text.startswith("mosquitto") or not found:
        yield ok("version", f"the broker is {text[:60]!r}, of which nothing is known here")
        return
    release = (int(found[1]), int(found[2]), int(found[3]))
    for problem, mended in known_problems(release):
        yield warn("version", f"{text}: {problem}", f"mosquitto {'.'.join(map(str, mended))} or later")
    if not known_problems(release):
        yield ok("version", text)
