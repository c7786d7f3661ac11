"""Dead band and throttle against twins that keep everything, interrupted by restarts at any point."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from purista_fast.prepare import DeadBand, Latest, Throttle
from purista_fast.prepare.band import BandState
from purista_fast.prepare.throttle import ThrottleState

keys = st.sampled_from("abc")
values = st.integers(-20, 20).map(lambda n: n / 2)
restart = st.tuples(st.just("restart"))


@given(
    st.sampled_from([(0.5, None), (None, 10.0), (1.0, 20.0), (0.0, None)]),
    st.none() | st.integers(1, 20),
    st.lists(st.tuples(st.just("passes"), keys, st.integers(0, 60), values) | restart, max_size=60),
)
def test_a_dead_band(bands: tuple[float | None, float | None], silence: float | None, run: list[Any]) -> None:
    def made() -> DeadBand:
        return DeadBand(absolute=bands[0], percent=bands[1], max_silence=silence)

    band = made()
    told: dict[str, list[tuple[float, float]]] = {}
    for what, *arguments in run:
        if what == "restart":
            data = msgspec.json.encode(band.snapshot())
            band = made()
            band.restore(msgspec.json.decode(data, type=BandState))
            continue
        key, time, value = arguments
        before = told.setdefault(key, [])
        is_worth = not before
        if before:
            at, last = before[-1]
            wide = [
                abs(value - last) > width
                for width in (bands[0], bands[1] and abs(last) * bands[1] / 100)
                if width is not None
            ]
            is_worth = all(wide) or (silence is not None and (time >= at + silence or time <= at - silence))
        assert band.passes(key, time, value) is is_worth
        if is_worth:
            before.append((time, value))
    assert len(band) == len(told)


class Twin:
    """What a throttle is: all values of a key, which of them have gone on, and when."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.came: dict[str, list[tuple[float, int]]] = {}
        self.went: dict[str, float] = {}
        self.gone: list[tuple[str, int]] = []

    def waiting(self, key: str) -> tuple[float, int] | None:
        """The latest value, unless it has gone on; of the same time the one that came last."""
        latest = max(time for time, _ in self.came[key])
        time, value = [one for one in self.came[key] if one[0] == latest][-1]
        return None if (key, value) in self.gone else (time, value)

    def go(self, key: str, now: float) -> list[tuple[str, float, int]]:
        found = self.waiting(key)
        if found is None:
            return []
        self.went[key] = now
        self.gone.append((key, found[1]))
        return [(key, *found)]

    def add(self, key: str, time: float, value: int) -> list[tuple[str, float, int]]:
        if key in self.came and max(at for at, _ in self.came[key]) - time >= self.interval:
            first = self.go(key, time)  # the clock was set back
            self.came[key] = [(time, value)]
            return first + self.go(key, time)
        self.came.setdefault(key, []).append((time, value))
        if key not in self.went:
            return self.go(key, time)
        is_latest = time == max(at for at, _ in self.came[key])
        return self.go(key, time) if is_latest and time - self.went[key] >= self.interval else []

    def advance(self, now: float) -> list[tuple[str, float, int]]:
        due = [key for key, went in self.went.items() if not went - self.interval < now < went + self.interval]
        return [one for key in due for one in self.go(key, now)]


@given(
    st.lists(
        st.tuples(st.just("add"), keys, st.integers(0, 60))
        | st.tuples(st.just("advance"), st.integers(0, 70))
        | restart,
        max_size=60,
    )
)
def test_a_throttle(run: list[Any]) -> None:
    throttle, twin = Throttle(5.0, type=int), Twin(5.0)
    gone = 0
    for number, (what, *arguments) in enumerate(run):
        if what == "restart":
            data = msgspec.json.encode(throttle.snapshot())
            throttle = Throttle(5.0, type=int)
            throttle.restore(msgspec.json.decode(data, type=ThrottleState))
            continue
        if what == "add":
            arguments.append(number)
        found: list[Latest[int]] = getattr(throttle, what)(*arguments)
        assert sorted((one.key, one.time, one.value) for one in found) == sorted(getattr(twin, what)(*arguments))
        gone += len(found)
    waiting = [(one.key, one.value) for one in throttle.flush()]
    assert sorted(waiting) == sorted((key, one[1]) for key in twin.came if (one := twin.waiting(key)))
    added = sum(1 for what, *_ in run if what == "add")
    assert added == gone + len(waiting) + throttle.replaced, "each one goes on, waits, or was replaced"
