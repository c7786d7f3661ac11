"""All that ``purista-fast bench`` measures, step by step."""

from __future__ import annotations

import gc
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import anyio
import msgspec

from . import dispatch, envelope, startup, topic_memory, topics
from .machine import machine, versions
from .report import Figure, Missing, Report
from .timing import Timed, calibrate, loop, take

__all__ = ("FULL", "QUICK", "Effort", "Step", "measure", "steps")


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is done for each figure.

    :param rounds: how often it is measured.
    :param seconds: about how long a round takes.
    :param starts: how many processes are started.
    :param sizes: among how many filters topics are matched.
    :param matchers: how often a matcher is filled to see its memory.
    """

    rounds: int
    seconds: float
    starts: int
    sizes: Sequence[int]
    matchers: int


FULL = Effort(7, 0.05, 20, topics.SIZES, 3)
"""Takes about half a minute on a machine of today."""
QUICK = Effort(5, 0.01, 3, topics.SIZES[:2], 0)
"""Takes some seconds; for a look, and for emulated processors."""


@dataclass(frozen=True, slots=True)
class Step:
    """What gives one figure or more.

    :param ids: of its figures, as in the repository's table of goals.
    :param run: measures, and calls its argument so many times while it does.
    """

    ids: tuple[str, ...]
    what: str
    run: Callable[[Callable[[], None]], list[Figure | Missing]]
    ticks: int = 1


def steps(effort: Effort, wanted: Sequence[str] = ("",)) -> list[Step]:
    """The steps in order.

    :param wanted: beginnings of ids, such as ``"A"`` and ``"B1"``; only those.
    """
    return [step for step in _all(effort) if any(id.startswith(tuple(wanted)) for id in step.ids)]


def measure(steps: Sequence[Step], begins: Callable[[Step], None], ticks: Callable[[], None]) -> Report:
    """Runs steps.

    :param begins: is called before each step.
    :param ticks: is called as often in each as it says.
    :raises RuntimeError: if an application does not start.
    """
    found: list[Figure | Missing] = []
    for step in steps:
        begins(step)
        found += step.run(ticks)
    figures = [one for one in found if isinstance(one, Figure)]
    return Report(machine(), versions(), figures, [one for one in found if isinstance(one, Missing)])


def _all(effort: Effort) -> Iterator[Step]:
    for backend in ("asyncio", "trio"):
        yield _served("A1", "invoke", backend, effort, lambda served: served.invoke)
        yield _served("A4", "emit and handle", backend, effort, lambda served: served.emit)
        yield _served("A6", f"emit to {dispatch.FAN_OUT}, a delivery", backend, effort, lambda served: served.fan_out)
    for name, payload in envelope.PAYLOADS.items():
        yield _plain("B1", f"decode, {name}", effort, partial(_reading, payload))
    for name, payload in envelope.PAYLOADS.items():
        yield _plain("B2", f"encode, {name}", effort, partial(_writing, payload))
    yield _plain("B3", "route, 16 KiB", effort, _routing)
    for levels in topics.LEVELS:
        for size in effort.sizes:
            what = f"match among {size:,} filters of {levels} levels"
            yield _plain("C1", what, effort, partial(_matching, levels, size))
    if effort.matchers:
        for levels in topics.LEVELS:
            yield _filled(f"memory of {topic_memory.SIZE:,} filters of {levels} levels", levels, effort)
    yield Step(("E1", "E2", "E3"), "start", partial(_starts, effort), 2 * effort.starts)


def _served(id: str, what: str, backend: str, effort: Effort, pick: Callable[[dispatch.Served], Timed]) -> Step:
    what = f"{what}, {backend}"

    async def serve() -> Figure:
        async with dispatch.serve() as served:
            return await _rounds(id, what, effort, pick(served))

    def run(ticks: Callable[[], None]) -> list[Figure | Missing]:
        found: Figure | Missing = Missing(id, what, f"{backend} is not installed")
        if importlib.util.find_spec(backend) is not None:
            found = anyio.run(serve, backend=backend)
        ticks()
        return [found]

    return Step((id,), what, run)


def _plain(id: str, what: str, effort: Effort, make: Callable[[], Timed]) -> Step:
    def run(ticks: Callable[[], None]) -> list[Figure | Missing]:
        found = anyio.run(_rounds, id, what, effort, make())
        ticks()
        return [found]

    return Step((id,), what, run)


def _filled(what: str, levels: int, effort: Effort) -> Step:
    def run(ticks: Callable[[], None]) -> list[Figure | Missing]:
        found: list[float] = []
        for _ in range(effort.matchers):
            size = topic_memory.measure(levels)
            found += [] if size is None else [size / 1e6]
            ticks()
        return [_memory("C2", what, found)]

    return Step(("C2",), what, run, effort.matchers)


def _reading(payload: msgspec.Struct) -> Timed:
    return loop(envelope.reading(payload))


def _writing(payload: msgspec.Struct) -> Timed:
    return loop(envelope.writing(payload))


def _routing() -> Timed:
    return loop(envelope.routing(envelope.event(envelope.ROUTED)))


async def _rounds(id: str, what: str, effort: Effort, timed: Timed) -> Figure:
    count = await calibrate(timed, effort.seconds)
    found = []
    for _ in range(effort.rounds):
        gc.collect()
        found.append(await take(timed, count) / count * 1e6)
    return _figure(id, what, "µs", found, median(found))


def _matching(levels: int, size: int) -> Timed:
    filters, wanted = topics.filters(levels, size)
    return topics.over(wanted, topics.tree_of(filters).match)


def _starts(effort: Effort, ticks: Callable[[], None]) -> list[Figure | Missing]:
    imports: list[float] = []
    ready: list[float] = []
    memory: list[float] = []
    for _ in range(effort.starts):
        imports.append(startup.import_seconds() * 1e3)
        ticks()
        start = startup.start()
        ready.append(start.ready * 1e3)
        memory += [] if start.memory is None else [start.memory / 1e6]
        ticks()
    return [
        _memory("E1", "memory of an idle application", memory),
        _figure("E2", "import purista_fast", "ms", imports, min(imports)),
        _figure("E3", "from start to ready", "ms", ready, min(ready)),
    ]


def _memory(id: str, what: str, found: Sequence[float]) -> Figure | Missing:
    return _figure(id, what, "MB", found, median(found)) if found else Missing(id, what, "the kernel does not tell")


def _figure(id: str, what: str, unit: str, found: Sequence[float], value: float) -> Figure:
    return Figure(id, what, unit, round(value, 4), (round(min(found), 4), round(max(found), 4)))
