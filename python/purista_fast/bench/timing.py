"""How often to do a piece of work, and how long it took."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from time import perf_counter

__all__ = ("Timed", "calibrate", "loop", "take")

Timed = Callable[[int], float | Awaitable[float]]
"""Does the work so many times and returns how many seconds that took."""


def loop(work: Callable[[], object]) -> Timed:
    """Makes a measurement of one step of plain work."""

    def timed(count: int) -> float:
        started = perf_counter()
        for _ in range(count):
            work()
        return perf_counter() - started

    return timed


async def calibrate(timed: Timed, seconds: float) -> int:
    """How often the work is done in about so many seconds. Warms up as well."""
    count = 1
    while True:
        taken = await take(timed, count)
        if taken > seconds / 2:
            return max(1, round(count * seconds / taken))
        count *= 2


async def take(timed: Timed, count: int) -> float:
    """Measures once, and returns the seconds."""
    seconds = timed(count)
    return await seconds if inspect.isawaitable(seconds) else seconds
