"""A3, for scale: the command round trip of A1 beside frameworks that do the same work; no goal hangs on it.

Each validates payload and result: FastStream with msgspec, as we do, bubus with pydantic. Each runs in a process of its
own, in turn with ours. PURISTA's figure is a recorded one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import anyio

from purista_fast.bench.dispatch import serve
from purista_fast.bench.timing import Timed

from . import peers
from .harness import Case, Result, Skipped, Wanted, measure

__all__ = ("results",)

WHAT = "invoke, asyncio, for scale"
PURISTA = 7_900
"""Round trips a second: PURISTA 2.0.5 (TypeScript, zod, Node 20), recorded on a machine with 2 cores."""


def results(wanted: Wanted) -> Iterator[Result | Skipped]:
    """A3 beside each of them."""
    if not wanted("A3"):
        return
    for name, program in (("FastStream, test broker", "faststream"), ("bubus", "bubus")):
        if peers.PYTHON.exists():
            with peers.bus(program) as timed:
                yield anyio.run(_beside, name, timed)
        else:
            yield Skipped("A3", f"{WHAT}, {name}", peers.MISSING)
    yield anyio.run(_beside, "PURISTA 2.0.5, recorded", lambda count: count / PURISTA)


async def _beside(name: str, peer: Timed) -> Result:
    """The ratio says how many times faster ours is."""
    async with serve() as ours:
        found = await measure(Case(id="A3", what=WHAT, ours=ours.invoke, peers={name: peer}, goal=None))
    assert found.ratio is not None
    assert found.spread is not None
    low, high = found.spread
    return replace(found, ratio=1 / found.ratio, spread=(1 / high, 1 / low))
