"""How much the outbox may hold, and who waits for room."""

from __future__ import annotations

from collections import deque

import anyio

__all__ = ("Room",)


class Room:
    """A bound on messages and on bytes."""

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self.messages = 0
        self.bytes = 0
        self._coming = [0, 0]
        """How many messages of how many bytes are about to be written."""
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._waiting: deque[_Waiter] = deque()

    def has(self, size: int) -> bool:
        """Whether one more message of so many bytes fits."""
        return self.messages < self._max_messages and self.bytes + size <= self._max_bytes

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for room already."""
        return bool(self._waiting)

    def lacking(self, size: int, messages: int) -> tuple[int, int]:
        """How many bytes, and how many messages, have to go for so many messages of so many bytes; at least 1."""
        return max(1, self.bytes + size - self._max_bytes), max(1, self.messages + messages - self._max_messages)

    def take(self, size: int) -> None:
        """A message is about to be written."""
        self.messages += 1
        self.bytes += size
        self._coming[0] += 1
        self._coming[1] += size

    def add(self, size: int) -> None:
        """A message is there, written by somebody else."""
        self.messages += 1
        self.bytes += size

    def keep(self, size: int) -> None:
        """It has been written."""
        self._coming[0] -= 1
        self._coming[1] -= size

    def leave(self, size: int) -> None:
        """It could not be written."""
        self.keep(size)
        self.give(size)

    def give(self, size: int) -> None:
        """A message has gone; whoever waits looks again."""
        self.messages -= 1
        self.bytes -= size
        if self._waiting:
            self._waiting[0].look()

    def set(self, messages: int, size: int) -> None:
        """There are so many messages of so many bytes, beside those that are about to be written."""
        self.messages, self.bytes = messages + self._coming[0], size + self._coming[1]
        if self._waiting:
            self._waiting[0].look()

    async def wait(self, size: int, timeout: float | None) -> bool:
        """Waits until a message of so many bytes fits, in order of arrival; False if that took too long.

        :param timeout: in seconds; ``None`` for as long as it takes.
        """
        waiter = _Waiter()
        self._waiting.append(waiter)
        try:
            with anyio.move_on_after(timeout):
                while not self.has(size) or self._waiting[0] is not waiter:
                    await waiter.wait()
                return True
            return False
        finally:
            self._waiting.remove(waiter)
            if self._waiting:
                self._waiting[0].look()

    def __str__(self) -> str:
        return (
            f"{self.messages} messages of {self._max_messages}, {self.bytes} bytes of {self._max_bytes} "
            "(outbox.max_messages, outbox.max_bytes)"
        )


class _Waiter:
    """Somebody who waits for room."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = anyio.Event()

    def look(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()
        self._event = anyio.Event()
