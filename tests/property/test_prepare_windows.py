"""Windows against a twin that keeps every value and reckons anew, interrupted by restarts at any point."""

from __future__ import annotations

import statistics
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from purista_fast.prepare import Closed, LeftOut, Sliding, Tumbling
from purista_fast.prepare.windows import WindowsState

PERCENTS = (0, 5, 50, 99, 100)


class Twin:
    """What windows are by their definition; exact, and slow."""

    def __init__(self, length: float, step: float, lateness: float) -> None:
        self.length, self.step, self.lateness = Fraction(length), Fraction(step), Fraction(lateness)
        self.values: dict[str, list[tuple[Fraction, float]]] = {}
        self.told: set[tuple[str, Fraction]] = set()
        self.own: dict[str, Fraction] = {}
        self.common: Fraction | None = None
        self.late: list[tuple[str, float, float]] = []

    def over(self, key: str) -> list[Fraction]:
        """The moments up to which the time of a key has come."""
        return [moment for moment in (self.own.get(key), self.common) if moment is not None]

    def add(self, key: str, time: float, value: float) -> list[tuple[Any, ...]]:
        end = (Fraction(time) // self.step + 1) * self.step
        if any(end <= moment for moment in self.over(key)):
            self.late.append((key, time, value))
            return []
        self.values.setdefault(key, []).append((Fraction(time), value))
        self.own[key] = max([Fraction(time) - self.lateness, *([self.own[key]] if key in self.own else [])])
        return self.closed(key)

    def advance(self, now: float) -> list[tuple[Any, ...]]:
        moment = Fraction(now) - self.lateness
        self.common = moment if self.common is None else max(moment, self.common)
        return sorted(
            (found for key in self.values for found in self.closed(key)), key=lambda found: (found[2], found[0])
        )

    def closed(self, key: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        ends = {
            (time // self.step + number + 1) * self.step
            for time, _ in self.values[key]
            for number in range(int(self.length / self.step))
        }
        for end in sorted(ends):
            if (key, end) in self.told or not any(end <= moment for moment in self.over(key)):
                continue
            self.told.add((key, end))
            inside = [(time, value) for time, value in self.values[key] if end - self.length <= time < end]
            found.append((key, float(end - self.length), float(end), inside))
        return found


def check(closed: list[Closed], expected: list[tuple[Any, ...]], *, percents: tuple[float, ...] = PERCENTS) -> None:
    assert [(found.key, found.start, found.end) for found in closed] == [one[:3] for one in expected]
    for found, (_, _, _, inside) in zip(closed, expected, strict=True):
        values = [value for _, value in inside]
        latest = max(time for time, _ in inside)
        near = 1e-9 * (1 + max(map(abs, values)))
        assert (found.count, found.min, found.max) == (len(values), min(values), max(values))
        assert found.last == [value for time, value in inside if time == latest][-1]
        assert found.mean == pytest.approx(float(statistics.fmean(values)), abs=near)
        assert found.min <= found.mean <= found.max
        assert found.deviation == pytest.approx(statistics.pstdev(values), abs=near)
        assert found.percentiles is not None
        assert list(found.percentiles) == pytest.approx([percentile(values, p) for p in percents], abs=near)


def percentile(values: list[float], percent: float) -> float:
    if percent in (0, 100) or len(values) == 1:
        return max(values) if percent == 100 else min(values)
    return statistics.quantiles(values, n=100, method="inclusive")[int(percent) - 1]


numbers = st.floats(-1e6, 1e6, allow_subnormal=False) | st.integers(-3, 3).map(float)
steps = st.tuples(st.just("add"), st.sampled_from("ab"), st.integers(0, 160).map(lambda n: n / 4), numbers)
others = st.tuples(st.just("advance"), st.integers(0, 60)) | st.tuples(st.just("restart"))


@given(
    st.sampled_from([(10.0, 10.0), (10.0, 5.0), (9.0, 3.0), (0.75, 0.25)]),
    st.sampled_from([0.0, 0.25, 7.0, 30.0]),
    st.lists(steps | steps | steps | others, max_size=60),
)
def test_they_are_what_they_are_by_definition(shape: tuple[float, float], lateness: float, run: list[Any]) -> None:
    late: list[LeftOut] = []

    def made() -> Sliding:
        length, step = shape
        if length == step:
            return Tumbling(length, lateness=lateness, percentiles=PERCENTS, left_out=late.append)
        return Sliding(length, step, lateness=lateness, percentiles=PERCENTS, left_out=late.append)

    windows, twin = made(), Twin(*shape, lateness)
    closed = 0
    for what, *arguments in run:
        if what == "restart":
            data = msgspec.json.encode(windows.snapshot())
            windows = made()
            windows.restore(msgspec.json.decode(data, type=WindowsState))
            continue
        found = getattr(windows, what)(*arguments)
        if what == "advance":
            found.sort(key=lambda one: (one.end, one.key))
        check(found, getattr(twin, what)(*arguments))
        closed += len(found)
    assert [(one.reason, one.key, one.time, one.value) for one in late] == [("late", *one) for one in twin.late]
    assert windows.left_out.get("late", 0) == len(late)


@given(st.sampled_from([0.001, 0.1, 0.3, 1 / 3, 7.7, 86400.0]), st.floats(-1e10, 1e10))
def test_a_moment_is_in_the_step_that_the_floats_say(step: float, time: float) -> None:
    part = Tumbling(step)._part(time)
    assert part * step <= time < (part + 1) * step


@given(st.lists(st.tuples(st.floats(-1e100, 1e100), st.integers(0, 3)), min_size=1, max_size=30))
def test_numbers_of_any_size(values: list[tuple[float, int]]) -> None:
    """In four parts that are joined: nothing overflows, and nothing is outside of what is possible."""
    windows = Sliding(4.0, 1.0, lateness=10.0)
    for value, at in values:
        windows.add("a", 100.0 + at, value)
    (found,) = [one for one in windows.flush() if one.start == 100.0]
    assert found.count == len(values)
    assert found.min <= found.mean <= found.max
    assert 0 <= found.deviation <= (found.max - found.min) * (1 + 1e-9)
