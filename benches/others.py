"""A5: a command and an event in memory while 10,000 other subscriptions and 1,000 other commands are registered.

Compared are instructions, with those without the others. The work is that of A1 and A4.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import anyio

from purista_fast.bench.dispatch import Served, serve
from purista_fast.bench.timing import Timed, take

from . import instructions
from .crowd import crowd
from .harness import Goal, Result, Skipped, Wanted, compare

__all__ = ("results",)

SUBSCRIPTIONS = 10_000
COMMANDS = 1_000
ROUNDS = 3
COUNT = 500
"""How often the work is done in one round."""
WORK: dict[str, Callable[[Served], Timed]] = {
    "invoke": lambda served: served.invoke,
    "emit and handle": lambda served: served.emit,
}


def results(wanted: Wanted) -> Iterator[Result | Skipped]:
    """For an invocation and for an event."""
    if not wanted("A5"):
        return
    what = {work: f"{work}, 11,000 others" for work in WORK}
    if not instructions.is_available():
        yield from (Skipped("A5", name, instructions.MISSING) for name in what.values())
        return
    alone = instructions.count(__spec__.name, "0", "0")
    crowded = instructions.count(__spec__.name, str(SUBSCRIPTIONS), str(COMMANDS))
    for place, name in enumerate(what.values()):
        ours, theirs = ([total / COUNT for total in totals[place :: len(WORK)]] for totals in (crowded, alone))
        yield compare("A5", name, ours, {"the same without others": theirs}, Goal(1.1, "at most"), unit="ins.")


async def program(subscriptions: int, commands: int) -> None:
    """Does the work in turn, each piece a section, after a round to warm up."""
    async with serve(crowd(subscriptions, commands)) as served:
        pieces = [piece(served) for piece in WORK.values()]
        instructions.begin()
        for timed in pieces:
            await take(timed, COUNT)
        instructions.mark()
        for _ in range(ROUNDS):
            for timed in pieces:
                await take(timed, COUNT)
                instructions.mark()


if __name__ == "__main__":
    anyio.run(program, int(sys.argv[1]), int(sys.argv[2]))
