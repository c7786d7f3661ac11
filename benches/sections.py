"""The work whose instructions ``benches/abi3.py`` counts: each section is done once to warm up, and once counted."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from itertools import cycle

import anyio

from purista_fast.bench import dispatch, envelope, topics

from . import instructions

__all__ = ("COUNT", "NAMES")

COUNT = 400
"""How often the work of a section is done."""
_SIZES = ("60 B", "1 KiB")
NAMES = (
    *(f"{id}, {size}" for size in _SIZES for id in ("B1 decode", "B2 encode")),
    "C1 match among 1,000 filters",
    "A1 invoke",
    "A4 emit and handle",
)
"""The sections, in their order."""
Work = Callable[[int], Awaitable[object]]


def plain(step: Callable[[], object]) -> Work:
    async def work(count: int) -> None:
        for _ in range(count):
            step()

    return work


async def program() -> None:
    filters, wanted = topics.filters(12, 1000)
    tree, names = topics.tree_of(filters), cycle(wanted)
    async with dispatch.serve() as served:
        sections: list[Work] = []
        for size in _SIZES:
            sections += map(plain, (make(envelope.PAYLOADS[size]) for make in (envelope.reading, envelope.writing)))
        sections += [plain(lambda: tree.match(next(names))), served.invoke, served.emit]
        for work in sections:
            await work(COUNT)
        gc.collect()
        gc.disable()
        instructions.begin()
        instructions.mark()
        for work in sections:
            await work(COUNT)
            instructions.mark()


if __name__ == "__main__":
    anyio.run(program)
