"""The work whose instructions ``benches/abi3.py`` counts under callgrind, which dumps at each call of ``getppid``.

Every section is done some times before, and then :data:`COUNT` times between two of these calls. The names of the
sections are printed at the end, as JSON.
"""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Awaitable, Callable

import anyio

from purista_fast.bench import dispatch, envelope, topics

COUNT = 400
_names: list[str] = []


async def section(name: str, work: Callable[[int], Awaitable[object]]) -> None:
    await work(COUNT // 4)
    gc.collect()
    gc.disable()
    os.getppid()
    await work(COUNT)
    os.getppid()
    gc.enable()
    _names.append(name)


async def plain(name: str, step: Callable[[], object]) -> None:
    async def work(count: int) -> None:
        for _ in range(count):
            step()

    await section(name, work)


async def main() -> None:
    for name in ("60 B", "1 KiB"):
        await plain(f"B1 decode, {name}", envelope.reading(envelope.PAYLOADS[name]))
        await plain(f"B2 encode, {name}", envelope.writing(envelope.PAYLOADS[name]))
    filters, wanted = topics.filters(12, 1000)
    tree, names = topics.tree_of(filters), iter(wanted * 2)
    await plain("C1 match among 1,000 filters", lambda: tree.match(next(names)))
    async with dispatch.serve() as served:
        await section("A1 invoke", served.invoke)
        await section("A4 emit and handle", served.emit)


if __name__ == "__main__":
    anyio.run(main)
    print(json.dumps(_names))
