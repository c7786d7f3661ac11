"""C: topics matched against many filters: 70 % exact, 25 % with ``+``, 5 % with ``#``.

Both sides give the values of all filters that match; the values are compared before anything is measured.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from time import perf_counter

from paho.mqtt.matcher import MQTTMatcher

from purista_fast.wire import TopicTree

from .harness import Case, Goal, Result, Timed, Wanted, run

__all__ = ("results",)

SIZES = (10, 1_000, 10_000, 100_000)
LEVELS = (4, 12)
LOOKUPS = 1_000


def results(wanted: Wanted) -> Iterator[Result]:
    """C1 for each size and number of levels."""
    if wanted("C1"):
        yield from map(run, cases())


def cases() -> Iterator[Case]:
    """A case for each size and number of levels."""
    for levels in LEVELS:
        for size in SIZES:
            chance = random.Random(size * levels)
            exact = [topic(chance, levels, size) for _ in range(size)]
            filters = list(dict.fromkeys(as_filter(chance, name) for name in exact))
            wanted = chance.choices(exact, k=LOOKUPS // 2)
            wanted += [topic(chance, levels, size) for _ in range(LOOKUPS // 2)]
            tree: TopicTree[int] = TopicTree()
            matcher = MQTTMatcher()
            for number, name in enumerate(filters):
                tree.insert(name, number)
                matcher[name] = number
            check(tree, matcher, wanted)
            yield Case(
                id="C1",
                what=f"match among {size:,} filters of {levels} levels",
                ours=over(wanted, tree.match),
                peers={"paho MQTTMatcher": over(wanted, paho(matcher))},
                goal=Goal(10.0, "faster"),
            )


def topic(chance: random.Random, levels: int, size: int) -> str:
    """A topic as a plant of machines would have: few words at the first levels, many at the last."""
    words = [f"level{level}_{chance.randrange(3 + level)}" for level in range(levels - 1)]
    return "/".join([*words, f"device_{chance.randrange(size)}"])


def as_filter(chance: random.Random, name: str) -> str:
    levels = name.split("/")
    kind = chance.random()
    if kind < 0.25:
        levels[chance.randrange(len(levels))] = "+"
    elif kind < 0.30:
        levels = [*levels[: chance.randrange(1, len(levels))], "#"]
    return "/".join(levels)


def over(names: list[str], match: Callable[[str], object]) -> Timed:
    """Measures the look-up of one name after the other."""

    def timed(count: int) -> float:
        following = list(islice(cycle(names), count))
        started = perf_counter()
        for name in following:
            match(name)
        return perf_counter() - started

    return timed


def paho(matcher: MQTTMatcher) -> Callable[[str], list[int]]:
    def match(name: str) -> list[int]:
        return list(matcher.iter_match(name))

    return match


def check(tree: TopicTree[int], matcher: MQTTMatcher, names: list[str]) -> None:
    for name in names:
        ours, theirs = sorted(tree.match(name)), sorted(matcher.iter_match(name))
        if ours != theirs:
            raise AssertionError(f"{name}: {ours} is not {theirs}")
