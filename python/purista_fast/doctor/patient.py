"""Connections to the broker under examination: blocking, one packet at a time, nothing sent again by itself."""

from __future__ import annotations

import secrets
import socket
import time
from collections import deque
from types import TracebackType
from typing import Self

from paho.mqtt.packettypes import PacketTypes

from ..bridges.mqtt.broker import Broker
from . import wire
from .wire import Packet

__all__ = ("Broken", "Connection", "open_socket", "probe_id")

_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)


class Broken(Exception):  # noqa: N818 - what the broker did, more than an error of ours
    """The broker ended the connection, or did not answer; the text says which.

    :param code: the reason code of its DISCONNECT or its refusal, if there was one.
    """

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


def probe_id() -> str:
    """A client id that nobody else has."""
    return f"purista_doctor_{secrets.token_hex(8)}"


def open_socket(broker: Broker, timeout: float) -> socket.socket:
    """Connects, TLS included.

    :param timeout: for each step, in seconds.
    :raises OSError: if that fails.
    """
    sock = socket.create_connection((broker.host, broker.port), timeout=timeout)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return broker.tls.wrap_socket(sock, server_hostname=broker.host) if broker.tls is not None else sock
    except BaseException:
        sock.close()
        raise


class Connection:
    """An MQTT 5 connection of our own making. Leaving the block disconnects, and ends the session.

    :param timeout: how long to wait for each answer, in seconds.
    :param quick: whether TCP acknowledges at once (True), late (False), or as the system likes (None); on Linux.
    :raises OSError: if there is no connection.
    :raises Broken: if the broker refuses, or answers with something else than MQTT 5.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        timeout: float,
        client_id: str | None = None,
        clean_start: bool = True,
        session_expiry: int = 0,
        keep_alive: int = 60,
        quick: bool | None = None,
    ) -> None:
        self.client_id = client_id or probe_id()
        self.inbox: deque[Packet] = deque()
        """Messages that have arrived and that nobody has asked for yet."""
        self._timeout = timeout
        self._quick = quick
        self._buffer = bytearray()
        self._mid = 0
        self._socket = open_socket(broker, timeout)
        try:
            self._hint()
            self.send(
                wire.connect(
                    self.client_id,
                    username=broker.username,
                    password=broker.password(),
                    clean_start=clean_start,
                    session_expiry=session_expiry,
                    keep_alive=keep_alive,
                )
            )
            self.connack = self.wait_for(PacketTypes.CONNACK)
            if self.connack.code >= 0x80:
                raise Broken(f"the broker refuses the connection (0x{self.connack.code:02X})", self.connack.code)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self, session_expiry: int = 0) -> None:
        """Disconnects.

        :param session_expiry: how long the broker is to keep the session, in seconds.
        """
        try:
            self._socket.settimeout(self._timeout)
            self._socket.sendall(wire.disconnect(session_expiry))
            self._socket.shutdown(socket.SHUT_WR)
            while self._socket.recv(65_536):
                pass  # until the broker has closed as well: then it has taken note
        except OSError:
            return  # it was gone already, and with it the session, which was made to end with the connection
        finally:
            self._socket.close()

    def send(self, data: bytes) -> None:
        """Sends a packet.

        :raises Broken: if the connection has ended.
        """
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise Broken(f"the connection broke: {error.strerror or error}") from error

    def subscribe(self, *filters: str, qos: int = 1, identifier: int | None = None) -> int:
        """Subscribes and returns the first reason code: the QoS, or from 0x80 on a refusal."""
        self.send(wire.subscribe(self._next(), filters, qos, identifier))
        return self.wait_for(PacketTypes.SUBACK).code

    def publish(self, topic: str, payload: bytes = b"", *, expiry: int | None = 60) -> int:
        """Publishes with QoS 1 and returns the reason code of the PUBACK."""
        self.send(wire.publish(topic, payload, mid=self._next(), qos=1, expiry=expiry))
        return self.wait_for(PacketTypes.PUBACK).code

    def publish_all(self, topic: str, payloads: list[bytes], *, expiry: int, window: int) -> list[int]:
        """Publishes many messages with QoS 1, so many at a time, and returns their reason codes."""
        codes: list[int] = []
        under_way = 0
        for payload in payloads:
            self.send(wire.publish(topic, payload, mid=self._next(), qos=1, expiry=expiry))
            under_way += 1
            if under_way >= window:
                codes.append(self.wait_for(PacketTypes.PUBACK).code)
                under_way -= 1
        codes += [self.wait_for(PacketTypes.PUBACK).code for _ in range(under_way)]
        return codes

    def offer(self, topic: str) -> int:
        """Begins to publish with QoS 2 and returns the reason code of the PUBREC, without ever releasing the message:
        the broker has judged whether it is allowed, and nobody gets it."""
        self.send(wire.publish(topic, b"", mid=self._next(), qos=2, expiry=1))
        return self.wait_for(PacketTypes.PUBREC).code

    def message(self, timeout: float) -> Packet | None:
        """The next message, acknowledged; ``None`` if none comes in time.

        :param timeout: in seconds.
        """
        if not self.inbox:
            try:
                self.wait_for(PacketTypes.PUBLISH, timeout)
            except TimeoutError:
                return None
        return self.inbox.popleft()

    def wait_for(self, kind: int, timeout: float | None = None) -> Packet:
        """Reads until a packet of this type arrives. Messages on the way are acknowledged and go to the inbox.

        :param timeout: in seconds; then a ``TimeoutError`` is raised, otherwise :class:`Broken`.
        """
        end = time.monotonic() + (self._timeout if timeout is None else timeout)
        while True:
            try:
                packet = self._read(end)
            except TimeoutError:
                if timeout is not None:
                    raise
                raise Broken(f"no answer within {self._timeout:g} s") from None
            if packet.kind == PacketTypes.PUBLISH:
                self.inbox.append(packet)
                if packet.qos:
                    self.send(wire.acknowledge(packet.mid))
            elif packet.kind == PacketTypes.DISCONNECT:
                raise Broken(f"the broker closed the connection (0x{packet.code:02X})", packet.code)
            if packet.kind == kind:
                return packet

    def _read(self, end: float) -> Packet:
        while True:
            try:
                head = wire.read_length(self._buffer)
                if head is not None and len(self._buffer) >= head[1]:
                    packet = wire.parse(self._buffer[0], bytes(self._buffer[head[0] : head[1]]))
                    del self._buffer[: head[1]]
                    return packet
            except ValueError as error:
                raise Broken(str(error)) from error
            self._socket.settimeout(max(0.001, end - time.monotonic()))
            try:
                data = self._socket.recv(65_536)
            except TimeoutError:
                raise
            except OSError as error:
                raise Broken(f"the connection broke: {error.strerror or error}") from error
            self._hint()
            if not data:
                raise Broken("the broker closed the connection without a word")
            self._buffer += data

    def _hint(self) -> None:
        """Asks for early or late acknowledgements of TCP; Linux forgets that with each receive."""
        if _QUICKACK is not None and self._quick is not None:
            self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, int(self._quick))

    def _next(self) -> int:
        self._mid = self._mid % 65_535 + 1
        return self._mid
