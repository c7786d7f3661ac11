"""What is to be sent on a connection: one system call sends what one turn of the event loop brings."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable

import anyio

from .sockets import QuickSocket, soon

__all__ = ("Outflow",)

_LARGE = 128 * 1024
"""So much is sent at once, in bytes; more is not copied together."""
_MOST = 100_000
"""How many packets wait for a broker that reads nothing; those of a window and of a receive maximum are fewer."""


class Outflow:
    """Sends in order what is put in. Nothing in it raises: a connection that is broken is told of once.

    :param broken: told why the connection is of no more use.
    """

    def __init__(self, sock: QuickSocket, broken: Callable[[str], None]) -> None:
        self.sent_at = time.monotonic()
        """When something was sent last, by the monotonic clock in seconds."""
        self._sock = sock
        self._broken = broken
        self._soon = soon(self.flush)
        self._chunks: deque[bytes] = deque()
        self._head: bytes | memoryview = b""
        """What is being sent."""
        self._is_due = False
        """Whether it will be flushed anyway."""
        self._is_over = False
        self._stalled: anyio.Event | None = None
        """Set once the system takes no more; while somebody waits for that."""
        self._is_stalled = False
        self._emptied: anyio.Event | None = None

    def put(self, data: bytes) -> None:
        """Sends something soon, after all that was put in before; nothing once it is closed."""
        if self._is_over:
            return
        self._chunks.append(data)
        if self._is_stalled:
            if len(self._chunks) > _MOST:
                self._give_up(f"the broker reads nothing, and {_MOST} packets wait for it")
        elif not self._is_due:
            self._is_due = True
            self._soon()

    def hold(self) -> None:
        """What is put in now is not sent before :meth:`release`."""
        self._is_due = True

    def release(self) -> None:
        """Sends soon what was put in since :meth:`hold`: when all that it has woken has had its turn."""
        if self._chunks and not self._is_stalled:
            self._soon()
        else:
            self._is_due = False

    def flush(self) -> None:
        """Sends now what the system takes."""
        self._is_due = False
        if self._is_over or self._is_stalled:
            return
        self._send()

    async def keep_going(self) -> None:
        """Goes on whenever the system takes something again; runs as long as the connection."""
        with contextlib.suppress(anyio.ClosedResourceError, OSError):  # closed while it was waited for
            while not self._is_over:
                if not self._is_stalled:
                    self._stalled = anyio.Event()
                    await self._stalled.wait()
                    continue
                await anyio.wait_writable(self._sock.raw)
                self._is_stalled = False
                self.flush()

    def is_stuck(self, seconds: float) -> bool:
        """Whether the system has taken nothing for so long of what waits."""
        return self._is_stalled and time.monotonic() - self.sent_at >= seconds

    async def emptied(self) -> None:
        """Waits until all is with the system; for as long as the connection is there."""
        self.flush()
        while self._head or self._chunks:
            self._emptied = anyio.Event()
            await self._emptied.wait()

    def close(self) -> None:
        """Sends nothing more."""
        self._is_over = True
        self._chunks.clear()
        self._head = b""
        if self._emptied is not None:
            self._emptied.set()

    def _send(self) -> None:
        try:
            while self._head or self._chunks:
                if not self._head:
                    self._head = self._next()
                sent = self._sock.send(self._head)
                if sent is None:
                    self._is_stalled = True
                    if self._stalled is not None:
                        self._stalled.set()
                    return
                self._head = b"" if sent == len(self._head) else memoryview(self._head)[sent:]
                self.sent_at = time.monotonic()
        except OSError as error:
            self._give_up(error.strerror or str(error))
            return
        if self._emptied is not None:
            self._emptied.set()

    def _give_up(self, reason: str) -> None:
        self.close()
        self._broken(reason)

    def _next(self) -> bytes:
        chunks = self._chunks
        if len(chunks) == 1:
            return chunks.popleft()
        size, parts = 0, []
        while chunks and size < _LARGE:
            parts.append(chunks.popleft())
            size += len(parts[-1])
        return parts[0] if len(parts) == 1 else b"".join(parts)
