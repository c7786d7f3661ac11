"""Measures two or more ways to do the same work in interleaved rounds."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

import anyio

from purista_fast.bench.timing import Timed, calibrate, loop, take

__all__ = ("ROUNDS", "Case", "Goal", "Result", "Skipped", "Timed", "Wanted", "compare", "loop", "measure", "run")

ROUNDS = 15
ROUND_SECONDS = 0.03


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be reached.

    :param kind: ``"faster"``: so many times less than the peer; ``"at most"``: at most so many times the peer's
        figure; ``"rate"``: at least so many times the peer's figure; ``"limit"``: at most this, whatever a peer does.
    """

    limit: float
    kind: Literal["faster", "at most", "rate", "limit"]

    def ratio(self, ours: float, peer: float) -> float:
        """The figure that the goal is about."""
        if self.kind == "faster":
            return peer / ours
        return ours / self.limit if self.kind == "limit" else ours / peer

    def is_met(self, ratio: float) -> bool:
        if self.kind == "limit":
            return ratio <= 1
        return ratio <= self.limit if self.kind == "at most" else ratio >= self.limit

    def __str__(self) -> str:
        texts = {"faster": "≥ {:g} × faster", "at most": "≤ {:g} ×", "rate": "≥ {:g} × the rate", "limit": "≤ {:g}"}
        return texts[self.kind].format(self.limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One comparison of times.

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
    """What a comparison came to: a median, or another statistic, of all rounds."""

    id: str
    what: str
    ours: float
    peer: float | None
    peer_name: str
    unit: str
    ratio: float | None
    spread: tuple[float, float] | None
    """The smallest and the largest ratio of a round."""
    goal: Goal | None

    @property
    def met(self) -> bool | None:
        return None if self.goal is None or self.ratio is None else self.goal.is_met(self.ratio)

    def as_dict(self) -> dict[str, Any]:
        """The result as in ``results.json``."""
        return {
            "id": self.id,
            "what": self.what,
            "ours": _rounded(self.ours),
            "peer": _rounded(self.peer),
            "peer_name": self.peer_name,
            "unit": self.unit,
            "ratio": _rounded(self.ratio),
            "goal": None if self.goal is None else str(self.goal),
            "met": self.met,
            "spread": None if self.spread is None else [_rounded(value) for value in self.spread],
        }


@dataclass(frozen=True, slots=True)
class Skipped:
    """A comparison that cannot be made here.

    :param why: what is missing, and how to get it.
    """

    id: str
    what: str
    why: str

    def as_dict(self) -> dict[str, Any]:
        """As in ``results.json``."""
        return {"id": self.id, "what": self.what, "why": self.why}


class Wanted:
    """Which benchmarks were asked for.

    :param beginnings: of their ids, in small letters or capitals; ``""`` for all.
    """

    def __init__(self, beginnings: Sequence[str]) -> None:
        self._beginnings = tuple(name.upper() for name in beginnings)

    def __call__(self, id: str) -> bool:
        """Whether this one was."""
        return id.upper().startswith(self._beginnings)


def compare(
    id: str,
    what: str,
    ours: Sequence[float],
    peers: Mapping[str, Sequence[float]],
    goal: Goal | None,
    *,
    unit: str = "µs",
    statistic: Callable[[Sequence[float]], float] = median,
) -> Result:
    """Compares the figures of all rounds; those of one round stand at the same place.

    :param peers: by name; the best of them counts. None at all for a goal that knows no peer.
    :param statistic: what is made of the figures, and of their ratios.
    """
    judged = goal or Goal(1.0, "at most")
    best = max if judged.kind == "rate" else min
    peer = best(peers, key=lambda name: statistic(peers[name])) if peers else None
    theirs = peers[peer] if peer is not None else None
    ratios = [judged.ratio(one, other) for one, other in zip(ours, theirs or ours, strict=True)]
    if theirs is None and goal is None:
        ratios = []
    ratio = judged.ratio(statistic(ours), statistic(theirs or ours))
    return Result(
        id=id,
        what=what,
        ours=statistic(ours),
        peer=None if theirs is None else statistic(theirs),
        peer_name=peer or "",
        unit=unit,
        ratio=(median(ratios) if statistic is median else ratio) if ratios else None,
        spread=(min(ratios), max(ratios)) if ratios else None,
        goal=goal,
    )


async def measure(case: Case) -> Result:
    """Runs the rounds of a case. Each round runs every side once, every other round in the opposite order."""
    sides = {"ours": case.ours, **case.peers}
    counts = {name: await calibrate(side, ROUND_SECONDS) for name, side in sides.items()}
    times: dict[str, list[float]] = {name: [] for name in sides}
    order = list(sides)
    for _ in range(ROUNDS):
        for name in order:
            gc.collect()
            times[name].append(await take(sides[name], counts[name]) / counts[name] * 1e6)
        order.reverse()
    return compare(case.id, case.what, times.pop("ours"), times, case.goal)


def run(case: Case) -> Result:
    """Measures a case that needs no event loop of its own."""
    return anyio.run(measure, case)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
