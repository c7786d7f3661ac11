"""Sockets as this bridge needs them: opened off the loop, read in large pieces, without delayed acknowledgements."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any, Protocol

import anyio
import anyio.lowlevel
import anyio.to_thread

from .broker import Broker
from .signal import is_trio

__all__ = ("QuickSocket", "Source", "make_source", "open_socket", "soon")

_PIECE = 64 * 1024
_MOST = 4
"""How many pieces are read before whoever wants them has taken them."""
_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)


class QuickSocket:
    """A connected socket.

    With Nagle's algorithm on one side and delayed acknowledgements on the other, small messages wait 40 ms for each
    other: see ``docs``. TCP_NODELAY ends the first on our side. The broker's side is up to its configuration, but does
    not wait if we acknowledge at once, which TCP_QUICKACK asks for; Linux forgets that with each receive.
    """

    __slots__ = ("_pending", "_would_block", "raw")

    def __init__(self, sock: socket.socket) -> None:
        self.raw = sock
        """The socket itself, to wait for."""
        self._would_block: tuple[type[OSError], ...] = (BlockingIOError,)
        self._pending: Callable[[], int] | None = getattr(sock, "pending", None)
        """Of TLS: how much it has read that nobody has taken."""
        if self._pending is not None:
            import ssl  # with the first connection that has TLS

            self._would_block = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._acknowledge_quickly()

    def recv(self) -> bytes | None:
        """What has come, or a piece of it; empty at the end, ``None`` if there is nothing now.

        :raises OSError: if the connection is broken.
        """
        try:
            data = self.raw.recv(_PIECE)
        except self._would_block:
            return None
        self._acknowledge_quickly()
        return data

    def has_more(self) -> bool:
        """Whether there is something to read that the system does not tell of: TLS has taken it already."""
        return self._pending is not None and self._pending() > 0

    def send(self, data: bytes | memoryview) -> int | None:
        """Sends what the system takes now, and returns how much that was; ``None`` if it takes nothing.

        After that the same data must be sent again.

        :raises OSError: if the connection is broken.
        """
        try:
            return self.raw.send(data)
        except self._would_block:
            return None

    def close(self) -> None:
        """Closes the connection."""
        self.raw.close()

    def _acknowledge_quickly(self) -> None:
        if _QUICKACK is not None:
            self.raw.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)


class Source(Protocol):
    """Waits for what a socket brings."""

    async def receive(self) -> bytes:
        """The next piece; empty at the end.

        :raises OSError: if the connection is broken.
        :raises ClosedResourceError: if it was closed here.
        """
        ...

    def close(self) -> None:
        """Ends the waiting; before the socket is closed."""
        ...


def make_source(sock: QuickSocket) -> Source:
    """What waits for a socket on the event loop that runs now."""
    if not is_trio():
        try:
            return _Watched(sock)
        except NotImplementedError:
            pass  # a loop without readers, as that of Windows
    return _Awaited(sock)


def soon(function: Callable[[], object]) -> Callable[[], object]:
    """What has a function called once all that is ready now has had its turn; on the event loop that runs now."""
    if is_trio():
        import trio

        token = trio.lowlevel.current_trio_token()
        return lambda: token.run_sync_soon(function, idempotent=True)
    loop = asyncio.get_running_loop()
    return lambda: loop.call_soon(function)


class _Awaited:
    """Waits anew for each piece, on any event loop."""

    def __init__(self, sock: QuickSocket) -> None:
        self._sock = sock
        self._is_full = False
        """Whether the last piece may not have been all."""

    async def receive(self) -> bytes:
        sock = self._sock
        if self._is_full or sock.has_more():
            await anyio.lowlevel.checkpoint()
        else:
            await anyio.wait_readable(sock.raw)
        while (data := sock.recv()) is None:
            self._is_full = False
            await anyio.wait_readable(sock.raw)
        self._is_full = len(data) == _PIECE
        return data

    def close(self) -> None:
        if self._sock.raw.fileno() >= 0:
            anyio.notify_closing(self._sock.raw)


class _Watched:
    """Has asyncio watch the socket all the time: beginning and ending that costs more than a small message does."""

    def __init__(self, sock: QuickSocket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._pieces: list[bytes] = []
        self._error: OSError | None = None
        self._is_over = False
        self._waiter: asyncio.Future[None] | None = None
        self._is_watched = False
        self._watch()

    async def receive(self) -> bytes:
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._is_over:
                return b""
            if not self._is_watched:
                self._watch()
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        return data

    def close(self) -> None:
        self._unwatch()
        if not self._is_over and self._error is None:
            self._error = OSError("closed by this side")
        self._wake()

    def _readable(self) -> None:
        try:
            while True:
                data = self._sock.recv()
                if data:
                    self._pieces.append(data)
                elif data is not None:
                    self._is_over = True
                if not data or not self._sock.has_more():
                    break
        except OSError as error:
            self._error = error
        if self._is_over or self._error is not None or len(self._pieces) >= _MOST:
            # Nobody takes it now; what else comes stays with the system, and then with the broker.
            self._unwatch()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _watch(self) -> None:
        self._loop.add_reader(self._sock.raw, self._readable)
        self._is_watched = True

    def _unwatch(self) -> None:
        if self._is_watched:
            self._is_watched = False
            self._loop.remove_reader(self._sock.raw)


async def open_socket(broker: Broker, timeout: float) -> QuickSocket:
    """Connects, TLS included.

    Name look-up and handshake block, so this runs in a thread of its own, which is left behind on cancellation.

    :param timeout: in seconds, for all of it.
    :raises OSError: if that fails; ``ssl.SSLError`` and ``TimeoutError`` are such errors.
    """
    attempt = _Attempt(broker, timeout)
    try:
        with anyio.fail_after(timeout):
            return QuickSocket(
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
