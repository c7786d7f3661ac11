"""Measures two or more ways to do the same work in interleaved rounds."""

from __future__ import annotations

import gc
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

__all__ = ("Case", "Goal", "Result", "Timed", "loop", "measure")

Timed = Callable[[int], float | Awaitable[float]]
"""Does the work so many times and returns how many seconds that took."""

ROUNDS = 9
ROUND_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be reached: so many times faster than the peer, or at most so many times its time."""

    limit: float
    is_faster: bool

    def ratio(self, ours: float, peer: float) -> float:
        """The figure that the goal is about."""
        return peer / ours if self.is_faster else ours / peer

    def is_met(self, ratio: float) -> bool:
        return ratio >= self.limit if self.is_faster else ratio <= self.limit

    def __str__(self) -> str:
        return f"≥ {self.limit:g} × faster" if self.is_faster else f"≤ {self.limit:g} × time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One comparison.

    :param peers: by name; the fastest of them counts.
    :param goal: ``None`` for a comparison that is only shown.
    """

    id: str
    what: str
    ours: Timed
    peers: Mapping[str, Timed]
    goal: Goal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The medians of all rounds. Times are microseconds for one piece of work."""

    id: str
    what: str
    ours: float
    peer: float
    peer_name: str
    ratio: float
    spread: tuple[float, float]
    """The smallest and the largest ratio of a round."""
    goal: Goal | None

    @property
    def met(self) -> bool | None:
        return None if self.goal is None else self.goal.is_met(self.ratio)

    def as_dict(self) -> dict[str, Any]:
        """The result as in ``results.json``."""
        return {
            "id": self.id,
            "what": self.what,
            "ours": round(self.ours, 4),
            "peer": round(self.peer, 4),
            "peer_name": self.peer_name,
            "unit": "µs",
            "ratio": round(self.ratio, 3),
            "goal": None if self.goal is None else str(self.goal),
            "met": self.met,
            "spread": [round(value, 3) for value in self.spread],
        }


def loop(work: Callable[[], object]) -> Timed:
    """Makes a measurement of one step of plain work."""

    def timed(count: int) -> float:
        started = perf_counter()
        for _ in range(count):
            work()
        return perf_counter() - started

    return timed


async def measure(case: Case) -> Result:
    """Runs the rounds of a case. Each round runs every side once, every other round in the opposite order."""
    sides = {"ours": case.ours, **case.peers}
    counts = {name: await _calibrate(side) for name, side in sides.items()}
    times: dict[str, list[float]] = {name: [] for name in sides}
    order = list(sides)
    for _ in range(ROUNDS):
        for name in order:
            gc.collect()
            times[name].append(await _run(sides[name], counts[name]) / counts[name] * 1e6)
        order.reverse()
    peer = min(case.peers, key=lambda name: median(times[name]))
    goal = case.goal or Goal(1.0, is_faster=False)
    ratios = [goal.ratio(ours, theirs) for ours, theirs in zip(times["ours"], times[peer], strict=True)]
    return Result(
        id=case.id,
        what=case.what,
        ours=median(times["ours"]),
        peer=median(times[peer]),
        peer_name=peer,
        ratio=median(ratios),
        spread=(min(ratios), max(ratios)),
        goal=case.goal,
    )


async def _calibrate(side: Timed) -> int:
    """How often the work is done in one round. Warms up as well."""
    count = 1
    while True:
        seconds = await _run(side, count)
        if seconds > ROUND_SECONDS / 2:
            return max(1, round(count * ROUND_SECONDS / seconds))
        count *= 2


async def _run(side: Timed, count: int) -> float:
    seconds = side(count)
    return await seconds if inspect.isawaitable(seconds) else seconds
