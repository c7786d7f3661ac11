"""What travels beside the payload: the MQTT 5 properties of messages, of connections, and what peers declare."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import ceil
from struct import pack
from typing import Any

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ..._core import Message

__all__ = (
    "PublishProperties",
    "connect_properties",
    "disconnect_properties",
    "event_expiry",
    "expiry_of",
    "identifiers",
    "subscribe_properties",
    "whole_seconds",
    "will_properties",
)

_EXPIRY, _CONTENT_TYPE, _CORRELATION, _USER = b"\x02", b"\x03", b"\x09", b"\x26"
_REFUSED = re.compile("[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]")
_LARGEST_SECONDS = 0xFFFF_FFFF


class PublishProperties:
    """The properties of a PUBLISH, packed.

    paho's own class prepares tables of all properties for each message; this has the four that we send.

    :raises ValueError: for a text that MQTT does not carry.
    """

    __slots__ = ("_packed", "expiry")

    def __init__(self, message: Message, expiry: int) -> None:
        self.expiry = expiry
        correlation = message.correlation_id
        parts = [_CONTENT_TYPE, _text(message.content_type), _EXPIRY, pack("!I", expiry)]
        if correlation is not None:
            parts += (_CORRELATION, _text(correlation))
        for name, value in message.user_properties():
            parts += (_USER, _text(name), _text(value))
        body = b"".join(parts)
        self._packed = _variable(len(body)) + body

    @classmethod
    def none(cls) -> PublishProperties:
        """No properties."""
        empty = cls.__new__(cls)
        empty.expiry, empty._packed = 0, b"\0"
        return empty

    def __len__(self) -> int:
        return len(self._packed)

    def __str__(self) -> str:
        return f"<{len(self._packed)} bytes>"

    def pack(self) -> bytes:
        """The bytes, as paho asks for them."""
        return self._packed


def whole_seconds(seconds: float) -> int:
    """A duration as a message expiry: rounded up, at least 1."""
    return min(max(1, ceil(seconds)), _LARGEST_SECONDS)


def event_expiry(message: Message, remaining: float, longest: float) -> int:
    """How long the broker may keep a message, in seconds.

    A command and a response that is no event are of no use after the caller's timeout.

    :param remaining: what is left of the caller's timeout.
    :param longest: ``bridge.message_expiry``.
    """
    kind = message.message_type
    is_answer = kind in ("commandSuccessResponse", "commandErrorResponse") and not message.event_name
    return whole_seconds(remaining if kind == "command" or is_answer else longest)


def expiry_of(properties: Properties | None) -> int | None:
    """How many seconds a message that arrived still counts; ``None`` if it does not say.

    PURISTA rounds timeouts down, so that 0 stands for any below a second.
    """
    return getattr(properties, "MessageExpiryInterval", None) or None


def identifiers(properties: Properties | None) -> Sequence[int]:
    """The subscription identifiers that a message arrived for."""
    found: Any = getattr(properties, "SubscriptionIdentifier", ())
    return found if isinstance(found, (list, tuple)) else (found,)


def connect_properties(*, session_expiry: int, receive_maximum: int, max_packet_size: int) -> Properties:
    """What we ask of a connection."""
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = session_expiry
    properties.ReceiveMaximum = receive_maximum
    properties.MaximumPacketSize = max_packet_size
    return properties


def will_properties(*, delay: int, expiry: int, content_type: str, user: Sequence[tuple[str, str]]) -> Properties:
    """The properties of a will.

    :param delay: how long the broker waits for a reconnect, in seconds.
    """
    properties = Properties(PacketTypes.WILLMESSAGE)
    properties.WillDelayInterval = delay
    properties.MessageExpiryInterval = expiry
    properties.ContentType = content_type
    properties.UserProperty = list(user)
    return properties


def subscribe_properties(identifier: int) -> Properties:
    """Names a subscription."""
    properties = Properties(PacketTypes.SUBSCRIBE)
    properties.SubscriptionIdentifier = identifier
    return properties


def disconnect_properties(session_expiry: int) -> Properties:
    """How long the session is to be kept after a DISCONNECT, in seconds."""
    properties = Properties(PacketTypes.DISCONNECT)
    properties.SessionExpiryInterval = session_expiry
    return properties


def _text(text: str) -> bytes:
    # Brokers close the connection for such a text (MQTT 5, 1.5.4), and would again for each new attempt.
    if not text.isprintable() and _REFUSED.search(text):
        raise ValueError(f"{text[:60]!r} has control characters, which MQTT does not carry")
    data = text.encode()
    if len(data) > 65_535:
        raise ValueError(f"{text[:60]!r}… is {len(data)} bytes long, an MQTT property has at most 65535")
    return pack("!H", len(data)) + data


def _variable(number: int) -> bytes:
    """A variable byte integer (MQTT 5, 1.5.5)."""
    out = bytearray()
    while True:
        number, digit = divmod(number, 128)
        out.append(digit | (128 if number else 0))
        if not number:
            return bytes(out)
