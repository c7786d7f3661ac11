"""C: topics matched against many filters: 70 % exact, 25 % with ``+``, 5 % with ``#``.

Both sides give the values of all filters that match; the values are compared before anything is measured. The filters
are those of ``purista_fast.bench.topics``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from paho.mqtt.matcher import MQTTMatcher

from purista_fast.bench.topics import LEVELS, SIZES, filters, over, tree_of
from purista_fast.wire import TopicTree

from .harness import Case, Goal, Result, Wanted, run

__all__ = ("results",)


def results(wanted: Wanted) -> Iterator[Result]:
    """C1 for each size and number of levels."""
    if wanted("C1"):
        yield from map(run, cases())


def cases() -> Iterator[Case]:
    """A case for each size and number of levels."""
    for levels in LEVELS:
        for size in SIZES:
            given, wanted = filters(levels, size)
            tree = tree_of(given)
            matcher = MQTTMatcher()
            for number, name in enumerate(given):
                matcher[name] = number
            check(tree, matcher, wanted)
            yield Case(
                id="C1",
                what=f"match among {size:,} filters of {levels} levels",
                ours=over(wanted, tree.match),
                peers={"paho MQTTMatcher": over(wanted, paho(matcher))},
                goal=Goal(10.0, "faster"),
            )


def paho(matcher: MQTTMatcher) -> Callable[[str], list[int]]:
    def match(name: str) -> list[int]:
        return list(matcher.iter_match(name))

    return match


def check(tree: TopicTree[int], matcher: MQTTMatcher, names: list[str]) -> None:
    for name in names:
        ours, theirs = sorted(tree.match(name)), sorted(matcher.iter_match(name))
        if ours != theirs:
            raise AssertionError(f"{name}: {ours} is not {theirs}")
