"""Sockets as this bridge needs them: opened off the loop, read in large pieces, without delayed acknowledgements."""

from __future__ import annotations

import socket
import ssl
import threading
from typing import Any

import anyio
import anyio.to_thread

from .broker import Broker

__all__ = ("BufferedSocket", "open_socket")

_PIECE = 64 * 1024
_LARGEST = 1024 * 1024
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)


class BufferedSocket:
    """A connected socket with the face that paho expects.

    paho reads a packet byte by byte; the buffer makes one system call of these. With Nagle's algorithm on one side
    and delayed acknowledgements on the other, small messages wait 40 ms for each other: see ``docs``. TCP_NODELAY
    ends the first on our side. The broker's side is up to its configuration, but does not wait if we acknowledge at
    once, which TCP_QUICKACK asks for; Linux forgets that with each receive.
    """

    __slots__ = ("_buffer", "_position", "_sock")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._buffer = b""
        self._position = 0
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._acknowledge_quickly()

    @property
    def raw(self) -> socket.socket:
        """The socket itself, to wait for."""
        return self._sock

    def recv(self, size: int) -> bytes:
        """Up to ``size`` bytes; empty at the end.

        :raises BlockingIOError: if there are none now.
        """
        position = self._position
        if position < len(self._buffer):
            data = self._buffer[position : position + size]
            self._position = position + len(data)
            return data
        data = self._sock.recv(min(max(size, _PIECE), _LARGEST))
        self._acknowledge_quickly()
        if len(data) <= size:
            return data
        self._buffer, self._position = data, size
        return data[:size]

    def pending(self) -> int:
        """How many bytes can be read without asking the system."""
        pending = len(self._buffer) - self._position
        return pending + self._sock.pending() if isinstance(self._sock, ssl.SSLSocket) else pending

    def send(self, data: bytes | bytearray) -> int:
        """Sends what the system takes now, and returns how much that was."""
        return self._sock.send(data)

    def close(self) -> None:
        """Closes the connection."""
        self._sock.close()

    def fileno(self) -> int:
        """The file descriptor."""
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        """Whether calls wait."""
        self._sock.setblocking(flag)

    def _acknowledge_quickly(self) -> None:
        if _QUICKACK is not None:
            self._sock.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)


async def open_socket(broker: Broker, timeout: float) -> BufferedSocket:
    """Connects, TLS included.

    Name look-up and handshake block, so this runs in a thread of its own, which is left behind on cancellation.

    :param timeout: in seconds, for all of it.
    :raises OSError: if that fails; ``ssl.SSLError`` and ``TimeoutError`` are such errors.
    """
    attempt = _Attempt(broker, timeout)
    try:
        with anyio.fail_after(timeout):
            return BufferedSocket(
                await anyio.to_thread.run_sync(attempt.run, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1))
            )
    except BaseException:
        attempt.abandon()
        raise


class _Attempt:
    """One attempt to connect. Whoever abandons it does not wait for it; its socket is closed in any case."""

    def __init__(self, broker: Broker, timeout: float) -> None:
        self._broker = broker
        self._timeout = timeout
        self._lock = threading.Lock()
        self._abandoned = False
        self._done: socket.socket | None = None

    def run(self) -> socket.socket:
        broker = self._broker
        # A name in ASCII needs no IDNA, whose tables would come with a text.
        host: Any = broker.host.encode() if broker.host.isascii() else broker.host
        sock = socket.create_connection((host, broker.port), timeout=self._timeout)
        try:
            if broker.tls is not None:
                sock = broker.tls.wrap_socket(sock, server_hostname=broker.host)
            sock.setblocking(False)
            with self._lock:
                if self._abandoned:
                    raise TimeoutError("nobody waits for this connection any more")
                self._done = sock
        except BaseException:
            sock.close()
            raise
        return sock

    def abandon(self) -> None:
        with self._lock:
            self._abandoned = True
            if self._done is not None:
                self._done.close()
