"""What a matcher of many topic filters takes in memory.

It is filled in a process of its own; counted is by how much the proportional set size grows meanwhile, garbage
collected before and after. Filters and values, Python objects that are there before, do not count. The process gets the
filters as one text, so that no memory is free that the matcher could take.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Sequence

from .._core import TopicTree
from .startup import proportional_size
from .topics import filters

__all__ = ("SIZE", "ask", "fill", "growth", "measure")

SIZE = 100_000
"""How many filters."""


def measure(levels: int) -> int | None:
    """By how many bytes a process grows that puts :data:`SIZE` filters of so many levels into a tree.

    :raises RuntimeError: if the process fails.
    """
    return ask(["-P", "-m", __name__], filters(levels, SIZE)[0])


def ask(arguments: Sequence[str], given: Sequence[str]) -> int | None:
    """What an interpreter says that is started with these arguments, runs :func:`growth` and prints its result.

    :param given: the filters.
    :raises RuntimeError: if it fails; it has said why.
    """
    done = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, *arguments], input="\n".join(given), stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )
    if done.returncode:
        raise RuntimeError(f"a process that fills a matcher ended with code {done.returncode}")
    return None if done.stdout.strip() == "None" else int(done.stdout)


def growth(fill: Callable[[list[str], list[int]], object]) -> int | None:
    """By how many bytes this process grows; ``None`` if the kernel does not tell.

    :param fill: makes a matcher of the filters, which are on standard input, and their numbers.
    """
    given = sys.stdin.read().splitlines()
    numbers = list(range(len(given)))
    before = _collected()
    matcher = fill(given, numbers)
    after = _collected()
    del matcher
    return None if before is None or after is None else after - before


def fill(given: list[str], numbers: list[int]) -> TopicTree[int]:
    """Our matcher."""
    tree: TopicTree[int] = TopicTree()
    for name, number in zip(given, numbers, strict=True):
        tree.insert(name, number)
    return tree


def _collected() -> int | None:
    gc.collect()
    return proportional_size(os.getpid())


if __name__ == "__main__":
    print(growth(fill))
