"""paho's share of a connection: the packets of which there are few, from CONNECT to DISCONNECT.

What there are many of, PUBLISH and PUBACK, never gets there: paho makes a dozen objects of each and takes as many
locks. It sees the rest as if it had the connection to itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from .connect import Connect

__all__ = ("Handshake",)


class _Wire:
    """The socket that paho believes to have."""

    def __init__(self, put: Callable[[bytes], None]) -> None:
        self._put = put
        self._packet = b""

    def give(self, packet: bytes) -> None:
        self._packet = packet

    def recv(self, size: int) -> bytes:
        data, self._packet = self._packet[:size], self._packet[size:]
        if not data and size:
            raise BlockingIOError
        return data

    def send(self, data: bytes | bytearray) -> int:
        self._put(bytes(data))
        return len(data)

    def close(self) -> None:
        """The connection is closed by whoever has it."""

    def fileno(self) -> int:
        return -1

    def setblocking(self, flag: bool) -> None:
        """Nothing of it ever blocks."""


class Handshake(paho.Client):
    """paho on a connection that is open already. It has sent its CONNECT when it is made.

    Of paho's inner life two methods are replaced, which ``tests/broker/test_handshake.py`` looks after:
    ``_create_socket`` gives the socket, ``_mid_generate`` the packet ids, which PUBLISH and SUBSCRIBE have in common.

    :param put: sends bytes.
    :param next_mid: gives a packet id that is free.
    :param callbacks: ``on_connect``, ``on_disconnect``, ``on_subscribe``, ``on_unsubscribe``.
    """

    def __init__(
        self,
        connect: Connect,
        username: str | None,
        password: str | None,
        put: Callable[[bytes], None],
        next_mid: Callable[[], int],
        callbacks: dict[str, Callable[..., None]],
    ) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2, connect.client_id, protocol=paho.MQTTv5, reconnect_on_failure=False
        )
        self._wire = _Wire(put)
        self._next_mid = next_mid
        self.username_pw_set(username, password)
        if connect.will is not None:
            will = connect.will
            self.will_set(will.topic, will.payload, qos=1, properties=will.properties)
        for name, callback in callbacks.items():
            setattr(self, name, callback)
        # Host and port are for paho's checks only.
        self.connect(
            "broker",
            1,
            keepalive=connect.keep_alive,
            clean_start=connect.clean_start,
            properties=connect.properties,
        )

    def take(self, packet: bytes) -> None:
        """Handles a packet that has come; calls back."""
        self._wire.give(packet)
        self.loop_read()

    def _create_socket(self) -> Any:
        return self._wire

    def _mid_generate(self) -> int:
        return self._next_mid()
