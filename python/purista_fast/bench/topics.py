"""Topics matched against many filters: 70 % exact, 25 % with ``+``, 5 % with ``#``."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import cycle, islice
from time import perf_counter

from .._core import TopicTree
from .timing import Timed

__all__ = ("LEVELS", "SIZES", "filters", "over", "tree_of")

SIZES = (10, 1_000, 10_000, 100_000)
"""How many filters."""
LEVELS = (4, 12)
"""How many levels a topic has."""
_LOOKUPS = 1_000


def filters(levels: int, size: int) -> tuple[list[str], list[str]]:
    """Filters, and names to look up among them: half of them have been there when the filters were made.

    The same arguments give the same ones.
    """
    chance = random.Random(size * levels)  # noqa: S311 - no secret
    names = [_topic(chance, levels, size) for _ in range(size)]
    found = list(dict.fromkeys(_as_filter(chance, name) for name in names))
    wanted = chance.choices(names, k=_LOOKUPS // 2)
    wanted += [_topic(chance, levels, size) for _ in range(_LOOKUPS // 2)]
    return found, wanted


def tree_of(filters: list[str]) -> TopicTree[int]:
    """A tree that has each filter with its number."""
    tree: TopicTree[int] = TopicTree()
    for number, name in enumerate(filters):
        tree.insert(name, number)
    return tree


def over(names: list[str], match: Callable[[str], object]) -> Timed:
    """Measures the look-up of one name after the other."""

    def timed(count: int) -> float:
        following = list(islice(cycle(names), count))
        started = perf_counter()
        for name in following:
            match(name)
        return perf_counter() - started

    return timed


def _topic(chance: random.Random, levels: int, size: int) -> str:
    """A topic as a plant of machines would have: few words at the first levels, many at the last."""
    words = [f"level{level}_{chance.randrange(3 + level)}" for level in range(levels - 1)]
    return "/".join([*words, f"device_{chance.randrange(size)}"])


def _as_filter(chance: random.Random, name: str) -> str:
    levels = name.split("/")
    kind = chance.random()
    if kind < 0.25:
        levels[chance.randrange(len(levels))] = "+"
    elif kind < 0.30:
        levels = [*levels[: chance.randrange(1, len(levels))], "#"]
    return "/".join(levels)
