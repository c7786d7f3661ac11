"""C2: what 100,000 topic filters take in memory, measured as ``purista_fast.bench.topic_memory`` says.

Each side fills its matcher in a process of its own, in turn with the other.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

from paho.mqtt.matcher import MQTTMatcher

from purista_fast.bench.topic_memory import SIZE, ask, fill, growth
from purista_fast.bench.topics import filters

from .harness import Goal, Result, Skipped, Wanted, compare

__all__ = ("results",)

GOALS = {12: Goal(round(1 / 6, 3), "at most"), 4: None}
"""By number of levels. The goal is that of PURISTA's topics, which have 12. The names of 4 share all but the last with
thousands of others: a sixth of what MQTTMatcher takes for them is less than the text of the filters."""
ROUNDS = 7


def results(wanted: Wanted) -> Iterator[Result | Skipped]:
    """C2 for each number of levels."""
    if not wanted("C2"):
        return
    for levels, goal in GOALS.items():
        what = f"memory of {SIZE:,} filters of {levels} levels"
        given = filters(levels, SIZE)[0]
        found: dict[str, list[float]] = {side: [] for side in SIDES}
        for _ in range(ROUNDS):
            for side, sizes in found.items():
                grown = ask(["-m", __spec__.name, side], given)
                sizes += [] if grown is None else [grown / 1e6]
        if found["ours"]:
            yield compare("C2", what, found.pop("ours"), found, goal, unit="MB")
        else:
            yield Skipped("C2", what, "the kernel tells no proportional set size: it takes Linux 4.14 or newer")


def paho(given: list[str], numbers: list[int]) -> MQTTMatcher:
    matcher = MQTTMatcher()
    for name, number in zip(given, numbers, strict=True):
        matcher[name] = number
    return matcher


SIDES: dict[str, Callable[[list[str], list[int]], object]] = {"ours": fill, "paho MQTTMatcher": paho}

if __name__ == "__main__":
    print(growth(SIDES[sys.argv[1]]))
