"""C2: what 100,000 topic filters take in memory.

Each side fills its matcher in a process of its own, in turn with the other. Counted is by how much the proportional set
size grows while the matcher is filled, garbage collected before and after. The filters and values, Python objects that
are there before, count for neither side; the process gets the filters as one text, so that no memory is free that the
matcher could take.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable, Iterator

from paho.mqtt.matcher import MQTTMatcher

from purista_fast.bench.topics import filters
from purista_fast.demo.figures import process_memory
from purista_fast.wire import TopicTree

from .harness import Goal, Result, Skipped, Wanted, compare

__all__ = ("results",)

SIZE = 100_000
GOALS = {12: Goal(6.0, "faster"), 4: None}
"""By number of levels. The goal is that of PURISTA's topics, which have 12: a name of 4 levels shares all but the last
with thousands of others here, and is a single node of a trie, which no form that keeps a filter's text gets below."""
ROUNDS = 3
SIDES: dict[str, Callable[[], TopicTree[int] | MQTTMatcher]] = {"ours": TopicTree, "paho MQTTMatcher": MQTTMatcher}


def results(wanted: Wanted) -> Iterator[Result | Skipped]:
    """C2 for each number of levels."""
    if not wanted("C2"):
        return
    for levels, goal in GOALS.items():
        what = f"memory of {SIZE:,} filters of {levels} levels"
        given = "\n".join(filters(levels, SIZE)[0])
        if process_memory()[1] is None:
            yield Skipped("C2", what, "/proc/self/smaps_rollup is missing: it takes Linux 4.14 or newer")
            continue
        found: dict[str, list[float]] = {side: [] for side in SIDES}
        for _ in range(ROUNDS):
            for side, sizes in found.items():
                program = [sys.executable, "-m", __spec__.name, side]
                grown = subprocess.run(program, check=True, input=given, stdout=subprocess.PIPE, text=True)
                sizes.append(float(grown.stdout))
        yield compare("C2", what, found.pop("ours"), found, goal, unit="MB")


def growth(side: str, given: list[str]) -> float:
    """By how many megabytes this process grows when it puts these filters into a matcher."""
    numbers = list(range(len(given)))
    matcher = SIDES[side]()
    before = collected()
    if isinstance(matcher, TopicTree):
        for name, number in zip(given, numbers, strict=True):
            matcher.insert(name, number)
    else:
        for name, number in zip(given, numbers, strict=True):
            matcher[name] = number
    return (collected() - before) / 1e6


def collected() -> int:
    """The proportional set size in bytes, garbage collected."""
    gc.collect()
    size = process_memory()[1]
    assert size is not None
    return size * 1024


if __name__ == "__main__":
    print(growth(sys.argv[1], sys.stdin.read().splitlines()))
