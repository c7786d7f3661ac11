"""F1: what one more costs while 1, 10, …, 100,000 are there: instructions, time, and the memory of each.

A subject is measured in processes of its own: under callgrind; by the clock, where one grows and another stays at the
third step, in turn; and with ``PYTHONMALLOC=malloc``, where the C library knows of every byte that Python and the
extension hold. Judged is, from the third step on, the dearest by the cheapest, and the slowest by the third.
"""

from __future__ import annotations

import ctypes
import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

import anyio

from . import instructions
from .crowded import SUBJECTS, Subject
from .harness import Goal, Result, Skipped, Wanted, compare

__all__ = ("results",)

STEPS = (1, 10, 100, 1_000, 10_000, 100_000)
FIRST_JUDGED = 100
COUNT = 100
"""How often the work is done in a section that is counted."""
ROUNDS, SECONDS = 9, 0.03
"""How often time is taken at each step, and for how long."""


def results(wanted: Wanted) -> Iterator[Result | Skipped]:
    """For each subject: instructions, time, memory."""
    if not wanted("F1"):
        return
    for subject in SUBJECTS:
        if instructions.is_available():
            counts = instructions.count(__spec__.name, "count", subject)
            # Between two steps there is a section that was not counted.
            yield judged(f"{subject}, instructions", [total / COUNT for total in counts[::2]], 1.2, "ins.")
        else:
            yield Skipped("F1", f"{subject}, instructions", instructions.MISSING)
        yield timed(subject)
        if _mallinfo() is None:
            yield Skipped("F1", f"{subject}, memory", "the C library has no mallinfo2: it takes glibc 2.33 or newer")
        else:
            yield judged(f"{subject}, memory of each", weighed(subject), 1.2, "B")


def judged(what: str, costs: list[float], limit: float, unit: str) -> Result:
    """The dearest of the steps that count, beside the cheapest."""
    late = {cost: step for step, cost in zip(STEPS, costs, strict=True) if step >= FIRST_JUDGED}
    least, most = min(late), max(late)
    return compare("F1", what, [most], {f"the least, at {late[least]:,}": [least]}, Goal(limit, "at most"), unit=unit)


def weighed(subject: str) -> list[float]:
    """The bytes of each at every step."""
    env = {**os.environ, "PYTHONMALLOC": "malloc"}
    ran = subprocess.run(_program("weigh", subject), check=True, stdout=subprocess.PIPE, text=True, env=env)
    return [float(line) for line in ran.stdout.splitlines()]


def timed(subject: str) -> Result:
    """The step that is slowest beside :data:`FIRST_JUDGED`, measured in turn."""
    found = []
    with _clock(subject) as few, _clock(subject) as many:
        few(FIRST_JUDGED)
        for step in (step for step in STEPS if step > FIRST_JUDGED):
            many(step)
            rounds = [(few(0), many(0)) for _ in range(ROUNDS)]
            name = f"at {FIRST_JUDGED}; ours at {step:,}"
            ours, theirs = [one for _, one in rounds], [other for other, _ in rounds]
            found.append(compare("F1", f"{subject}, time", ours, {name: theirs}, Goal(2.0, "at most")))
    return max(found, key=lambda result: result.ratio or 0)


@contextmanager
def _clock(subject: str) -> Iterator[Callable[[int], float]]:
    """A process that is asked to have so many, or with 0 how many microseconds one more takes."""
    with subprocess.Popen(
        _program("clock", subject), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as clock:

        def ask(number: int) -> float:
            assert clock.stdin is not None
            assert clock.stdout is not None
            print(number, file=clock.stdin, flush=True)
            return float(clock.stdout.readline())

        yield ask


def _program(how: str, subject: str) -> list[str]:
    return [sys.executable, "-m", __spec__.name, how, subject]


async def grown(subject: Subject, to: int) -> None:
    """Makes them so many, without looking for garbage on the way: there would be more to look at each time."""
    gc.disable()
    await subject.grow(to)
    gc.enable()
    gc.collect()


async def count(subject: Subject) -> None:
    for step in STEPS:
        await grown(subject, step)
        instructions.begin()
        await subject.work(COUNT)
        instructions.mark()
        await subject.work(COUNT)
        instructions.mark()
        instructions.pause()


async def clock(subject: Subject) -> None:
    for line in sys.stdin:
        if to := int(line):
            await grown(subject, to)
        done, started = 0, perf_counter()
        while perf_counter() - started < SECONDS:
            await subject.work(COUNT)
            done += COUNT
        print((perf_counter() - started) / done * 1e6, flush=True)


async def weigh(subject: Subject) -> None:
    await grown(subject, 1)
    before = weight()
    for step in STEPS:
        await grown(subject, step)
        print((weight() - before) / max(1, step - 1))


class _Mallinfo(ctypes.Structure):
    _fields_ = [(f"field{number}", ctypes.c_size_t) for number in range(10)]


_MAPPED, _IN_USE = "field4", "field7"
"""``hblkhd``, the bytes in mappings of their own, and ``uordblks``, the bytes in use beside those."""


def _mallinfo() -> Callable[[], _Mallinfo] | None:
    function = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if function is not None:
        function.restype = _Mallinfo
    return function


def weight() -> int:
    """The bytes that are allocated."""
    mallinfo = _mallinfo()
    assert mallinfo is not None
    found = mallinfo()
    return int(getattr(found, _IN_USE) + getattr(found, _MAPPED))


async def program(how: str, subject: str) -> None:
    async with SUBJECTS[subject]() as one:
        await {"count": count, "clock": clock, "weigh": weigh}[how](one)
        sys.stdout.flush()
        os._exit(0)  # 100,000 cancelled tasks are not what is measured


if __name__ == "__main__":
    anyio.run(program, sys.argv[1], sys.argv[2])
