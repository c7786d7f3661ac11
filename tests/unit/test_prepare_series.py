"""The pieces on what a real machine did: 1,500 seconds of a busy one, recorded by tests/data/record_machine.py."""

import random
import statistics
from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from purista_fast.prepare import Closed, DeadBand, Sliding, Throttle, Tumbling

FILE = Path(__file__).parents[1] / "data" / "machine.csv"
COLUMNS = ("load", "available", "switches")
MINUTE = 60.0


class Row(NamedTuple):
    at: float
    values: dict[str, float]


def rows() -> list[Row]:
    names, *lines = FILE.read_text("ascii").splitlines()
    found = [dict(zip(names.split(","), map(float, line.split(",")), strict=True)) for line in lines]
    return [Row(row["time"], {name: row[name] for name in COLUMNS}) for row in found]


ROWS = rows()


def run(windows: Sliding, series: list[Row]) -> list[Closed]:
    closed = [one for row in series for name in COLUMNS for one in windows.add(name, row.at, row.values[name])]
    return sorted(closed + windows.flush(), key=lambda one: (one.key, one.end))


def test_the_series_is_one() -> None:
    assert len(ROWS) == 1500
    assert all(before.at < after.at for before, after in pairwise(ROWS))
    assert all(len({row.values[name] for row in ROWS}) > 50 for name in COLUMNS)


def naive(length: float, step: float) -> Iterator[tuple[str, float, list[float]]]:
    parts = round(length / step)
    for name in COLUMNS:
        last = int(ROWS[-1].at // step)
        for end in range(1, last + parts + 1):
            start = (end - parts) * step
            values = [row.values[name] for row in ROWS if start <= row.at < end * step]
            if values:
                yield name, start, values


@pytest.mark.parametrize(("length", "step"), [(MINUTE, MINUTE), (MINUTE, 15.0)])
def test_windows_are_what_a_list_says(length: float, step: float) -> None:
    closed = run(Sliding(length, step, percentiles=(50, 95)), ROWS)
    expected = list(naive(length, step))
    assert [(one.key, one.start) for one in closed] == sorted((name, start) for name, start, _ in expected)
    for one, (_, _, values) in zip(closed, sorted(expected, key=lambda one: one[:2]), strict=True):
        assert (one.count, one.min, one.max, one.last) == (len(values), min(values), max(values), values[-1])
        assert one.mean == pytest.approx(statistics.fmean(values), rel=1e-12)
        assert one.deviation == pytest.approx(statistics.pstdev(values), rel=1e-9)
        if len(values) > 1:
            ranks = statistics.quantiles(values, n=100, method="inclusive")
            assert one.percentiles == pytest.approx((ranks[49], ranks[94]))
    assert sum(one.count for one in closed) == len(ROWS) * len(COLUMNS) * round(length / step)


def test_what_comes_late_is_in_its_window_or_counted() -> None:
    """Every value up to 20 s late, by chance: with that lateness nothing changes, with less what is lost is counted."""
    chance = random.Random(7)
    delayed = sorted(ROWS, key=lambda row: row.at + chance.uniform(0, 20))
    assert delayed != ROWS
    in_order = run(Tumbling(MINUTE), ROWS)
    late = run(Tumbling(MINUTE, lateness=20.0), delayed)
    assert [(one.key, one.start, one.count, one.last) for one in late] == [
        (one.key, one.start, one.count, one.last) for one in in_order
    ]
    assert [one.mean for one in late] == pytest.approx([one.mean for one in in_order])
    left: list[float] = []
    strict = Tumbling(MINUTE, lateness=2.0, left_out=lambda one: left.append(one.time))
    closed = run(strict, delayed)
    assert left
    assert sum(one.count for one in closed) + len(left) == len(ROWS) * len(COLUMNS)
    assert strict.left_out == {"late": len(left)}


def test_a_restart_every_minute_changes_nothing() -> None:
    windows = Sliding(MINUTE, 15.0, percentiles=(50,))
    closed: list[Closed] = []
    for _, minute in groupby(ROWS, key=lambda row: row.at // 60):
        closed += [one for row in minute for name in COLUMNS for one in windows.add(name, row.at, row.values[name])]
        state = windows.snapshot()
        windows = Sliding(MINUTE, 15.0, percentiles=(50,))
        windows.restore(state)
    closed += windows.flush()
    assert sorted(closed, key=lambda one: (one.key, one.end)) == run(Sliding(MINUTE, 15.0, percentiles=(50,)), ROWS)


@pytest.mark.parametrize("name", COLUMNS)
def test_who_gets_what_passes_a_dead_band_is_never_wrong_by_more(name: str) -> None:
    values = [row.values[name] for row in ROWS]
    width = statistics.pstdev(values)
    band = DeadBand(absolute=width, max_silence=MINUTE)
    known, at, passed = 0.0, -1.0, 0
    for row in ROWS:
        if band.passes(name, row.at, row.values[name]):
            known, at = row.values[name], row.at
            passed += 1
        assert abs(known - row.values[name]) <= width
        assert row.at - at < MINUTE
    assert len(ROWS) / MINUTE / 2 < passed < len(ROWS) / 2


def test_a_throttle_ends_with_the_last_value() -> None:
    throttle = Throttle(10.0, type=float)
    told: dict[str, list[float]] = {name: [] for name in COLUMNS}
    for row in ROWS:
        for name in COLUMNS:
            for one in throttle.add(name, row.at, row.values[name]):
                told[one.key].append(one.time)
    for one in throttle.flush():
        told[one.key].append(one.time)
        assert one.value == ROWS[-1].values[one.key]
    span = ROWS[-1].at - ROWS[0].at
    for times in told.values():
        assert times[-1] == ROWS[-1].at
        assert times == sorted(times)
        assert all(after - before >= 10.0 for before, after in pairwise(times[:-1]))
        assert span / 12 <= len(times) <= span / 10 + 2
