"""MQTT 5 packets, as far as a doctor needs them: made here to see what a client library would hide."""

from __future__ import annotations

from collections.abc import Iterable
from struct import pack, unpack_from
from typing import Any

import msgspec
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

__all__ = (
    "Packet",
    "acknowledge",
    "connect",
    "disconnect",
    "parse",
    "publish",
    "read_length",
    "subscribe",
)


class Packet(msgspec.Struct, frozen=True):
    """A packet that has arrived."""

    kind: int
    """Its type, as in ``paho.mqtt.packettypes``."""
    code: int = 0
    """The reason code; that of the first filter in a SUBACK."""
    mid: int = 0
    """The packet id; 0 if it has none."""
    session_present: bool = False
    topic: str = ""
    payload: bytes = b""
    qos: int = 0
    properties: Any = None
    """``paho.mqtt.properties.Properties``: only what the packet has are attributes of it."""

    def property(self, name: str, default: Any = None) -> Any:
        """A property by paho's name, or ``default`` if the packet does not have it."""
        return getattr(self.properties, name, default)


def connect(
    client_id: str,
    *,
    username: str | None,
    password: str | None,
    clean_start: bool,
    session_expiry: int,
    receive_maximum: int = 65_535,
    keep_alive: int = 60,
) -> bytes:
    """A CONNECT."""
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = session_expiry
    properties.ReceiveMaximum = receive_maximum
    flags = (2 if clean_start else 0) | (0x80 if username is not None else 0) | (0x40 if password is not None else 0)
    body = _text("MQTT") + bytes([5, flags]) + pack("!H", keep_alive) + properties.pack() + _text(client_id)
    for text in (username, password):
        body += b"" if text is None else _text(text)
    return _packet(PacketTypes.CONNECT, 0, body)


def subscribe(mid: int, filters: Iterable[str], qos: int = 1, identifier: int | None = None) -> bytes:
    """A SUBSCRIBE that asks for no retained messages of old; one with ``$SYS`` gets them."""
    properties = Properties(PacketTypes.SUBSCRIBE)
    if identifier is not None:
        properties.SubscriptionIdentifier = identifier
    body = pack("!H", mid) + properties.pack()
    for text in filters:
        handling = 0 if text.startswith("$SYS") else 0x20
        body += _text(text) + bytes([qos | handling])
    return _packet(PacketTypes.SUBSCRIBE, 2, body)


def publish(topic: str, payload: bytes, *, mid: int, qos: int, expiry: int | None = None) -> bytes:
    """A PUBLISH that is not retained.

    :param expiry: how long the broker may keep it, in seconds.
    """
    properties = Properties(PacketTypes.PUBLISH)
    if expiry is not None:
        properties.MessageExpiryInterval = expiry
    number = pack("!H", mid) if qos else b""
    return _packet(PacketTypes.PUBLISH, qos << 1, _text(topic) + number + properties.pack() + payload)


def acknowledge(mid: int) -> bytes:
    """A PUBACK."""
    return _packet(PacketTypes.PUBACK, 0, pack("!H", mid))


def disconnect(session_expiry: int) -> bytes:
    """A DISCONNECT.

    :param session_expiry: how long the broker is to keep the session from now on, in seconds.
    """
    properties = Properties(PacketTypes.DISCONNECT)
    properties.SessionExpiryInterval = session_expiry
    return _packet(PacketTypes.DISCONNECT, 0, b"\0" + properties.pack())


def read_length(data: bytes | bytearray) -> tuple[int, int] | None:
    """Size of the head, and size of the whole packet; ``None`` if the head has not arrived yet.

    :raises ValueError: if that is no MQTT.
    """
    length = 0
    for index in range(1, 5):
        if index >= len(data):
            return None
        length |= (data[index] & 0x7F) << (7 * (index - 1))
        if data[index] < 0x80:
            return index + 1, index + 1 + length
    raise ValueError("the other side does not speak MQTT")


def parse(first: int, body: bytes) -> Packet:
    """A packet from its first byte and what follows the length.

    :raises ValueError: if that is no MQTT 5.
    """
    kind = first >> 4
    try:
        if kind == PacketTypes.CONNACK:
            return Packet(
                kind, code=body[1], session_present=bool(body[0] & 1), properties=_properties(kind, body[2:])[0]
            )
        if kind == PacketTypes.PUBLISH:
            return _publish(first, body)
        if kind == PacketTypes.SUBACK:
            _, used = _properties(kind, body[2:])
            return Packet(kind, code=body[2 + used], mid=unpack_from("!H", body)[0])
        if kind == PacketTypes.DISCONNECT:
            return Packet(kind, code=body[0] if body else 0)
        if kind in (PacketTypes.PUBACK, PacketTypes.PUBREC, PacketTypes.UNSUBACK):
            return Packet(kind, code=body[2] if len(body) > 2 else 0, mid=unpack_from("!H", body)[0])
    except Exception as error:
        # paho raises whatever comes to hand for a property that it does not know.
        raise ValueError(f"the other side does not speak MQTT 5: packet of type {kind}, {error}") from error
    return Packet(kind)


def _publish(first: int, body: bytes) -> Packet:
    length = unpack_from("!H", body)[0]
    topic, rest = body[2 : 2 + length].decode(), body[2 + length :]
    qos, mid = first >> 1 & 3, 0
    if qos:
        mid, rest = unpack_from("!H", rest)[0], rest[2:]
    properties, used = _properties(PacketTypes.PUBLISH, rest)
    return Packet(PacketTypes.PUBLISH, mid=mid, topic=topic, payload=rest[used:], qos=qos, properties=properties)


def _properties(kind: int, data: bytes) -> tuple[Properties, int]:
    properties = Properties(kind)
    _, used = properties.unpack(data)
    return properties, used


def _packet(kind: int, flags: int, body: bytes) -> bytes:
    length, head = len(body), bytearray([kind << 4 | flags])
    while True:
        length, digit = divmod(length, 128)
        head.append(digit | (128 if length else 0))
        if not length:
            return bytes(head) + body


def _text(text: str) -> bytes:
    data = text.encode()
    return pack("!H", len(data)) + data
