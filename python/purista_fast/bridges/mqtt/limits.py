"""How large the parts of a message may be: looked at before anything is made of them."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ("MOST_HEADER_BYTES", "MOST_KEY", "MOST_PROPERTY_BYTES", "MOST_USER_PROPERTIES", "Refusal", "trim")

MOST_PROPERTY_BYTES = 16 * 1024
"""Of all MQTT properties of a message."""
MOST_USER_PROPERTIES = 200
MOST_HEADER_BYTES = 16 * 1024
"""Of an envelope without its payload: ids, names, addresses, traces."""
MOST_KEY = 512
"""Of an id that is remembered, in characters."""
_SMALLEST_USER_PROPERTY = 5
_USER = 0x26


class Refusal(bytes):
    """Stands in place of a payload that nobody is to look at; the text says why."""

    __slots__ = ()

    @property
    def reason(self) -> str:
        """Why, in short."""
        return self.decode()


def trim(header: int, packet: bytearray, max_payload: int) -> tuple[bytearray, bytes]:
    """Takes the payload off a PUBLISH; of one that is too large nothing stays but its topic.

    :param header: the first byte of the fixed header.
    :param packet: what follows the fixed header.
    :param max_payload: in bytes.
    :returns: the rest of the packet, and the payload, or a :class:`Refusal`.
    :raises IndexError: if it is no PUBLISH.
    """
    at = 2 + (packet[0] << 8 | packet[1]) + (2 if header & 0x06 else 0)
    length, start = _variable(packet, at)
    end = start + length
    if end > len(packet):
        raise IndexError("the properties are longer than the packet")
    reason = ""
    if length > MOST_PROPERTY_BYTES:
        reason = "properties too large"
    elif length > MOST_USER_PROPERTIES * _SMALLEST_USER_PROPERTY and _is_crowded(packet, start, end):
        reason = "too many user properties"
    elif len(packet) - end > max_payload:
        reason = "payload too large"
    if reason:
        return packet[:at] + b"\0", Refusal(reason.encode())
    return packet[:end], bytes(memoryview(packet)[end:])


def _is_crowded(packet: bytearray, at: int, end: int) -> bool:
    """Whether there are too many user properties; what cannot be read is left to whoever parses the packet."""
    count = 0
    while at < end:
        kind = packet[at]
        skip = _SKIPS.get(kind)
        if skip is None:
            return False
        at = skip(packet, at + 1)
        count += kind == _USER
        if count > MOST_USER_PROPERTIES:
            return True
    return False


def _variable(packet: bytearray, at: int) -> tuple[int, int]:
    """A variable byte integer (MQTT 5, 1.5.5), and where it ends."""
    number = shift = 0
    while True:
        digit = packet[at]
        at += 1
        number |= (digit & 0x7F) << shift
        if digit < 0x80:
            return number, at
        shift += 7
        if shift > 21:
            raise IndexError("not a variable byte integer")


def _text(packet: bytearray, at: int) -> int:
    return at + 2 + (packet[at] << 8 | packet[at + 1])


_SKIPS: dict[int, Callable[[bytearray, int], int]] = {
    0x01: lambda _, at: at + 1,
    0x02: lambda _, at: at + 4,
    0x03: _text,
    0x08: _text,
    0x09: _text,
    0x0B: lambda packet, at: _variable(packet, at)[1],
    0x23: lambda _, at: at + 2,
    _USER: lambda packet, at: _text(packet, _text(packet, at)),
}
"""The properties that a PUBLISH may have (MQTT 5, 3.3.2.3): from where one begins to where it ends."""
