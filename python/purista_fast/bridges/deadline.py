"""Deadlines that cost nothing when the answer comes without waiting.

asyncio arms its timer when the handler first waits (as ``asyncio.timeout`` would have from the start, see its
``uncancel`` counting). trio's scopes nest, so there the scope is entered before the first step.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

import anyio

from .._core import Invocation
from ..errors import StatusCode, UnhandledError
from .base import Request

__all__ = ("Arm", "limiter")

Arm = Callable[[Request], object]
"""Starts the timer of an invocation that waits; see ``Invocation``."""


def limiter(
    on_timeout: Callable[[Request], None],
) -> tuple[Callable[[Awaitable[bytes], Request], Awaitable[bytes]], Arm | None]:
    """What limits a coroutine to ``request.timeout`` seconds, for the event loop that runs now.

    And what arms the timer of one that waits, if that may come as late.

    The awaitable raises ``UnhandledError`` 504 once time is up, having cancelled the coroutine and called
    ``on_timeout``.
    """
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():

        async def limited(coroutine: Awaitable[bytes], request: Request) -> bytes:
            with anyio.move_on_after(request.timeout):
                return await coroutine
            on_timeout(request)
            raise timed_out(request)

        return limited, None

    def arm(request: Request) -> _Timer:
        return _Timer(request, on_timeout)

    return lambda coroutine, request: Invocation(coroutine, arm, request), arm


def timed_out(request: Request) -> UnhandledError:
    """The error of an invocation that had no answer in time."""
    trace_id = request.trace_id or (request.traceparent or "")[3:35] or None
    return UnhandledError(StatusCode.GATEWAY_TIMEOUT, "invocation timed out", trace_id=trace_id)


class _Timer:
    """A running timer of an invocation on asyncio."""

    __slots__ = ("_cancelling", "_expired", "_handle", "_on_timeout", "_request", "_task")

    def __init__(self, request: Request, on_timeout: Callable[[Request], None]) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("an invocation must be awaited in a task")
        self._request = request
        self._on_timeout = on_timeout
        self._task = task
        self._cancelling = task.cancelling()
        self._expired = False
        self._handle = asyncio.get_running_loop().call_later(request.timeout, self._expire)

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()

    def settle(self, error: BaseException | None) -> BaseException | None:
        """The coroutine has ended, with this error or none: what the caller gets instead."""
        self._handle.cancel()
        if self._expired and self._task.uncancel() <= self._cancelling and isinstance(error, asyncio.CancelledError):
            self._on_timeout(self._request)
            return timed_out(self._request)
        return error
