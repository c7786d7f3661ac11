"""What makes and reads the packets of a connection: paho, or our own codec in Rust.

A transport does no I/O and knows no time: bytes in, events out. PUBLISH and PUBACK, of which there are many, are the
same in all (see :class:`~purista_fast._core.PacketReader`); what differs is the rest, from CONNECT to DISCONNECT.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ...._core import Connack
from ..connect import Connect

__all__ = ("KINDS", "Transport", "make_transport")


class Transport(Protocol):
    """The packets of one connection of which there are few."""

    def connect(self, connect: Connect, username: str | None, password: str | None) -> bytes:
        """The CONNECT, which comes first.

        :raises WireError: for what MQTT does not carry.
        """
        ...

    def subscribe(self, mid: int, text: str, identifier: int | None, options: int) -> bytes:
        """A SUBSCRIBE to one filter.

        :param identifier: the subscription identifier.
        :param options: as MQTT 5 has them (3.8.3.1).
        :raises WireError: for a filter that MQTT does not carry.
        """
        ...

    def unsubscribe(self, mid: int, text: str) -> bytes:
        """An UNSUBSCRIBE of one filter.

        :raises WireError: for a filter that MQTT does not carry.
        """
        ...

    def disconnect(self, session_expiry: int) -> bytes:
        """A DISCONNECT, and for how many seconds the broker is to keep the session."""
        ...

    def read(self, packet: bytes) -> Connack | tuple[int, bytes] | int | None:
        """What a packet says: a CONNACK; packet id and reason codes of a SUBACK or UNSUBACK; the reason code of a
        DISCONNECT; nothing.

        :raises WireError: if it is not understood.
        """
        ...


def _native() -> Transport:
    from .native import Native

    return Native()


def _paho() -> Transport:
    from .paho import Paho

    return Paho()


KINDS: dict[str, Callable[[], Transport]] = {"native": _native, "paho": _paho}
"""What ``bridge.transport`` may name. What is not chosen is not imported."""


def make_transport(kind: str) -> Transport:
    """The transport of one connection.

    :param kind: ``bridge.transport``.
    """
    return KINDS[kind]()
