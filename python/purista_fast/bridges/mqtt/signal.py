"""Waiting for one thing with a deadline, for each message: without a scope, which costs more than all else there."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import anyio
import anyio.lowlevel

__all__ = ("Signal", "is_trio")


class Signal:
    """Is set once; one task at a time waits for it."""

    __slots__ = ("_is_set", "_waiter")

    def __init__(self) -> None:
        self._is_set = False
        self._waiter: Any = None
        """A future on asyncio, an event on trio."""

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._is_set

    def set(self) -> None:
        """Sets it, and wakes who waits."""
        self._is_set = True
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            _wake(waiter)

    async def wait(self, timeout: float | None = None) -> None:
        """Waits until it is set.

        :param timeout: in seconds; ``None`` for as long as it takes.
        :raises TimeoutError: once that is over.
        """
        if self._is_set:
            await anyio.lowlevel.checkpoint()
            return
        if is_trio():
            self._waiter = anyio.Event()
            with anyio.fail_after(timeout):
                await self._waiter.wait()
            return
        loop = asyncio.get_running_loop()
        self._waiter = waiter = loop.create_future()
        timer = None if timeout is None else loop.call_later(timeout, _wake, waiter)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()
        if not self._is_set:
            raise TimeoutError


def is_trio() -> bool:
    """Whether the event loop that runs now is trio's."""
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_run())


def _wake(waiter: Any) -> None:
    if isinstance(waiter, asyncio.Future):
        if not waiter.done():
            waiter.set_result(None)
    else:
        waiter.set()
