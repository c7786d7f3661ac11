"""Plain functions in a bounded pool of threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import anyio

__all__ = ("ThreadPool",)

R = TypeVar("R")


class ThreadPool:
    """Runs plain functions in at most ``size`` threads at the same time.

    A caller that is cancelled goes on at once; the thread runs to its end and keeps its place until then, for
    nothing can stop a thread.
    """

    __slots__ = ("_limiter", "_unlimited")

    def __init__(self, size: int) -> None:
        self._limiter = anyio.CapacityLimiter(size)
        self._unlimited = anyio.CapacityLimiter(float("inf"))

    async def run(self, function: Callable[..., R], *args: Any, **kwargs: Any) -> R:
        """Runs the function in a thread and returns its result; what it raises is raised here."""
        # Imported with the first thread, for most applications never need one.
        from anyio import to_thread

        place = _Place(self._limiter)
        await self._limiter.acquire_on_behalf_of(place)
        try:
            work = partial(place.work, function, *args, **kwargs)
            done: list[R] = []
            with anyio.CancelScope() as scope:
                try:
                    done += await to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._unlimited)
                except BaseException:
                    # What the thread still does in the loop would wait, on asyncio, for a cancellation that has been
                    # delivered already: for ever, with whatever lock it holds.
                    scope.shield = True
                    raise
            return done[0]
        finally:
            place.left_by_caller()


class _Place:
    """One place in the pool, given back by whoever leaves it last: the caller or the thread."""

    __slots__ = ("_abandoned", "_limiter", "_lock", "_running")

    def __init__(self, limiter: anyio.CapacityLimiter) -> None:
        self._limiter = limiter
        self._lock = threading.Lock()
        self._running = False
        self._abandoned = False

    def work(self, function: Callable[..., R], *args: Any, **kwargs: Any) -> tuple[R]:
        # In a tuple, for trio refuses functions that return a coroutine, as badly decorated ones do.
        with self._lock:
            if self._abandoned:
                raise RuntimeError("cancelled before it began")
            self._running = True
        try:
            return (function(*args, **kwargs),)
        finally:
            self._left_by_thread()

    def left_by_caller(self) -> None:
        with self._lock:
            self._abandoned = True
            last = not self._running
        if last:
            self._limiter.release_on_behalf_of(self)

    def _left_by_thread(self) -> None:
        with self._lock:
            self._running = False
            last = self._abandoned
        if not last:
            return
        from anyio import from_thread

        with suppress(RuntimeError):  # the event loop is gone, and the pool with it
            from_thread.run_sync(self._limiter.release_on_behalf_of, self)
