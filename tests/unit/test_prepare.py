"""The pieces that prepare data: their bounds, what they refuse and leave out, and their state over restarts."""

import logging
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import anyio
import msgspec
import pytest
from msgspec import Struct

from purista_fast import DefinitionError
from purista_fast.prepare import DeadBand, Kept, Latest, LeftOut, Sliding, Throttle, Tumbling


class Reading(Struct, frozen=True):
    sensor: str
    celsius: float


CANNOT_WORK: dict[str, tuple[Callable[[], Any], str]] = {
    "no length": (lambda: Tumbling(0), "Tumbling(0): step must be seconds from 0.001, not 0"),
    "an endless one": (lambda: Tumbling(math.inf), "must be seconds from 0.001, not inf"),
    "a true length": (lambda: Tumbling(True), "must be seconds from 0.001, not True"),
    "a step that does not fit": (lambda: Sliding(10, 3), "1 to 1000 times the step, not 3.33333 times 3"),
    "too many steps": (lambda: Sliding(1001, 1), "not 1001 times 1"),
    "a step that is too long": (lambda: Sliding(1, 2), "not 0.5 times 2"),
    "a negative lateness": (lambda: Tumbling(1, lateness=-1), "lateness must be seconds from 0, not -1"),
    "a percentile beyond": (lambda: Tumbling(1, percentiles=[101]), "percentiles must be numbers from 0 to 100"),
    "no keys": (lambda: Tumbling(1, max_keys=0), "max_keys must be a whole number from 1, not 0"),
    "no values": (lambda: Tumbling(1, max_values=0), "max_values must be a whole number from 1, not 0"),
    "no band": (lambda: DeadBand(), "give at least one of them"),
    "a negative band": (lambda: DeadBand(absolute=-1), "a band must be a number from 0"),
    "a band that is none": (lambda: DeadBand(percent=math.nan), "a band must be a number from 0"),
    "no interval": (lambda: Throttle(0, type=int), "Throttle(0): interval must be seconds from 0.001, not 0"),
}


@pytest.mark.parametrize("what", CANNOT_WORK)
def test_what_cannot_work(what: str) -> None:
    define, words = CANNOT_WORK[what]
    with pytest.raises(DefinitionError) as caught:
        define()
    assert words in str(caught.value)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, 1e101, 10**400, "1", None, [1.0]])
def test_what_is_no_measurement(wrong: Any) -> None:
    windows, band = Tumbling(60.0), DeadBand(absolute=1.0)
    for take in (windows.add, band.passes):
        with pytest.raises(ValueError, match=r"a value of 'attic' must be a finite number up to 1e\+100, not"):
            take("attic", 0.0, wrong)
    assert len(windows) == len(band) == 0


@pytest.mark.parametrize("wrong", [math.nan, math.inf, 1.7e12, None, "now"])
def test_what_is_no_moment(wrong: Any) -> None:
    windows, band, throttle = Tumbling(60.0), DeadBand(absolute=1.0), Throttle(1.0, type=int)
    for take in (windows.add, band.passes, throttle.add):
        with pytest.raises(ValueError, match=r"the time of 'attic' must be seconds, at most 1e\+11 \(milliseconds\?\)"):
            take("attic", wrong, 1)
    for advance in (windows.advance, throttle.advance):
        with pytest.raises(ValueError, match="the time must be seconds"):
            advance(wrong)


@pytest.mark.parametrize("wrong", ["", "x" * 257, None, 1, "\udcff"])
def test_what_is_no_key(wrong: Any) -> None:
    for take in (Tumbling(60.0).add, DeadBand(absolute=1.0).passes, Throttle(1.0, type=int).add):
        with pytest.raises(ValueError, match="a key must be a text of 1 to 256 characters"):
            take(wrong, 0.0, 1)


def test_more_keys_than_may_be_are_left_out_until_others_are_done() -> None:
    left: list[LeftOut] = []
    windows = Tumbling(10.0, max_keys=2, left_out=left.append)
    for key in "abc":
        windows.add(key, 1.0, 1.0)
    assert left == [LeftOut("keys", "c", 1.0, 1.0)]
    assert [one.key for one in windows.advance(10.0)] == ["a", "b"]
    assert len(windows) == 0
    windows.add("c", 11.0, 1.0)
    # Who was forgotten is late nevertheless.
    windows.add("a", 9.0, 1.0)
    assert left[1:] == [LeftOut("late", "a", 9.0, 1.0)]
    assert windows.left_out == {"keys": 1, "late": 1}


def test_a_clock_that_is_not_believed() -> None:
    left: list[LeftOut] = []
    windows = Tumbling(10.0, max_ahead=60.0, left_out=left.append)
    windows.advance(1000.0)
    windows.add("a", 1061.0, 1.0)
    windows.add("a", 1060.0, 2.0)
    assert left == [LeftOut("early", "a", 1061.0, 1.0)]
    assert [one.last for one in windows.flush("a")] == [2.0]


def test_a_clock_that_runs_ahead_closes_no_windows_of_others() -> None:
    windows = Tumbling(10.0)
    windows.add("right", 1.0, 1.0)
    windows.add("wrong", 1e9, 1.0)
    assert windows.add("right", 2.0, 3.0) == []
    assert [(one.key, one.count) for one in windows.advance(10.0)] == [("right", 2)]


def test_what_is_left_out_is_logged_ever_more_rarely(caplog: pytest.LogCaptureFixture) -> None:
    windows = Tumbling(10.0)
    windows.add("a", 100.0, 1.0)
    for _ in range(1000):
        windows.add("a", 1.0, 1.0)
    assert windows.left_out == {"late": 1000}
    assert len(caplog.records) == 10
    assert caplog.records[0].levelno == logging.WARNING
    assert caplog.records[0].getMessage() == "Tumbling(10.0): 1.0 of 'a' at 1 was left out: late; 1 so far"


def test_percentiles_are_exact_or_none() -> None:
    windows = Tumbling(10.0, percentiles=(50,), max_values=3)
    for number in range(3):
        windows.add("few", 1.0, float(number))
    for number in range(1000):
        windows.add("many", 1.0, float(number))
    few, many = windows.flush()
    assert few.percentiles == (1.0,)
    assert (many.percentiles, many.count, many.mean) == (None, 1000, 499.5)
    assert Tumbling(10.0).flush() == []
    plain = Tumbling(10.0)
    plain.add("a", 1.0, 1.0)
    assert plain.snapshot().tracks["a"].parts[0].values == [], "nothing is kept that nobody asked for"
    assert plain.flush()[0].percentiles == ()


def test_memory_of_a_key_is_bounded_by_its_windows() -> None:
    windows = Sliding(10.0, 1.0, lateness=5.0, percentiles=(50,), max_values=4)
    for moment in range(10_000):
        windows.add("a", moment / 10, 1.0)
        (track,) = windows.snapshot().tracks.values()
        assert len(track.parts) <= 10 + 5 + 1
        assert all(len(part.values) <= 4 for part in track.parts.values())


def test_the_last_value_is_the_one_of_the_latest_time_that_came_last() -> None:
    windows = Sliding(10.0, 5.0, lateness=10.0)
    for at, value in [(6.0, 1.0), (8.0, 2.0), (8.0, 3.0), (7.0, 4.0), (2.0, 5.0)]:
        windows.add("a", at, value)
    assert [(one.start, one.last) for one in windows.flush()] == [(-5.0, 5.0), (0.0, 3.0), (5.0, 3.0)]


def test_a_state_of_other_windows_is_refused() -> None:
    with pytest.raises(ValueError, match="the state is that of windows of 60 s every 60 s, not of 60 s every 30 s"):
        Sliding(60.0, 30.0).restore(Tumbling(60.0).snapshot())


def test_a_snapshot_is_apart() -> None:
    windows, band, throttle = Tumbling(10.0, percentiles=(50,)), DeadBand(absolute=1.0), Throttle(5.0, type=Reading)
    windows.add("a", 1.0, 1.0)
    band.passes("a", 1.0, 1.0)
    throttle.add("a", 1.0, Reading("a", 1.0))
    throttle.add("a", 2.0, Reading("a", 2.0))
    states = [piece.snapshot() for piece in (windows, band, throttle)]
    before = [msgspec.json.encode(state) for state in states]
    windows.add("a", 2.0, 5.0)
    band.passes("a", 2.0, 5.0)
    throttle.add("a", 3.0, Reading("a", 3.0))
    assert [msgspec.json.encode(state) for state in states] == before
    for piece, state in zip((windows, band, throttle), states, strict=True):
        piece.restore(state)  # type: ignore[arg-type]
    windows.add("a", 3.0, 7.0)
    assert [msgspec.json.encode(state) for state in states] == before
    assert throttle.flush() == [Latest("a", 2.0, Reading("a", 2.0))]


def test_a_waiting_value_that_does_not_fit_is_refused() -> None:
    throttle = Throttle(5.0, type=int)
    throttle.add("a", 0.0, 1)
    throttle.add("a", 1.0, 2)
    other = Throttle(5.0, type=Reading)
    with pytest.raises(msgspec.ValidationError):
        other.restore(throttle.snapshot())


@pytest.mark.parametrize(
    ("kind", "value"), [(float, math.nan), (Reading, Reading("a", math.inf)), (int, "1"), (Any, object())]
)
def test_a_value_that_cannot_be_kept_does_not_wait(kind: Any, value: Any) -> None:
    throttle = Throttle(5.0, type=kind)
    with pytest.raises(ValueError, match=r"Throttle\(5.0\): a value of 'a' cannot be kept as"):
        throttle.add("a", 0.0, value)
    assert len(throttle) == 0


@pytest.mark.parametrize("value", [{1: 2.0}, {7: {2: 0.5}}, {}])
def test_values_with_keys_that_are_numbers_are_kept(value: dict[int, Any]) -> None:
    throttle = Throttle(5.0, type=dict[int, Any])
    throttle.add("a", 0.0, {}), throttle.add("a", 1.0, value)
    state = msgspec.json.decode(msgspec.json.encode(throttle.snapshot()), type=throttle.state_type)
    throttle.restore(state)
    assert list(throttle.flush()[0].value) == list(value)


def test_too_many_keys_lose_nothing_in_a_throttle_and_pass_a_dead_band() -> None:
    throttle = Throttle(5.0, type=int, max_keys=2)
    for key in "ab":
        throttle.add(key, 0.0, 1)
        throttle.add(key, 1.0, 2)
    assert throttle.add("c", 1.0, 3) == [Latest("a", 1.0, 2), Latest("c", 1.0, 3)]
    assert throttle.flush() == [Latest("b", 1.0, 2)]
    assert len(throttle) == 0
    band = DeadBand(absolute=1.0, max_keys=2)
    assert [band.passes(key, 0.0, 1.0) for key in "abacb"] == [True, True, False, True, True]
    assert (band.forgotten, len(band)) == (2, 2)


class States:
    """``ctx.states``, as far as it is needed, on JSON."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.is_full = False

    async def get(self, key: str, *, type: Any) -> Any:
        return msgspec.json.decode(self.kept[key], type=type) if key in self.kept else None

    async def set(self, key: str, value: Any) -> None:
        if self.is_full:
            raise OSError("no room")
        self.kept[key] = msgspec.json.encode(value)


@pytest.mark.anyio
async def test_what_is_kept_survives_and_a_block_counts_whole_or_not_at_all() -> None:
    states = States()
    kept = Kept("summaries", Tumbling(10.0))
    async with kept.use(states) as windows:
        windows.add("a", 1.0, 1.0)
    with pytest.raises(ValueError, match="finite"):
        async with kept.use(states) as windows:
            windows.add("a", 2.0, 1.0), windows.add("a", 3.0, math.nan)
    states.is_full = True
    with pytest.raises(OSError, match="no room"):
        async with kept.use(states) as windows:
            windows.add("a", 3.0, 1.0)
    states.is_full = False
    async with kept.use(states) as windows:
        assert windows.snapshot().tracks["a"].parts[0].count == 1
    # Another process.
    async with Kept("summaries", Tumbling(10.0)).use(states) as windows:
        assert [one.count for one in windows.advance(10.0)] == [1]
    with pytest.raises(ValueError, match="the state is that of windows of 10 s every 10 s"):
        async with Kept("summaries", Tumbling(20.0)).use(states):
            pass


@pytest.mark.anyio
async def test_each_run_of_an_application_reads_what_it_kept() -> None:
    kept = Kept("count", Tumbling(10.0))
    first, second = States(), States()
    for states, count in [(first, 1), (second, 1), (first, 2)]:
        async with kept.use(states) as windows:
            windows.add("a", 1.0, 1.0)
            assert windows.snapshot().tracks["a"].parts[0].count == count


def test_what_is_kept_serves_one_event_loop_after_the_other() -> None:
    kept, states = Kept("count", Tumbling(10.0)), States()

    async def add() -> None:
        async with kept.use(states) as windows:
            await anyio.lowlevel.checkpoint()
            windows.add("a", 1.0, 1.0)

    async def main() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(add)

    for backend in ("asyncio", "trio", "asyncio"):
        anyio.run(main, backend=backend)
    state = msgspec.json.decode(states.kept["count"], type=Tumbling(10.0).state_type)
    assert state.tracks["a"].parts[0].count == 9


@pytest.mark.anyio
async def test_one_block_at_a_time() -> None:
    states = States()
    kept = Kept("count", Tumbling(10.0))

    async def add() -> None:
        async with kept.use(states) as windows:
            await anyio.lowlevel.checkpoint()
            windows.add("a", 1.0, 1.0)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(add)
    async with Kept("count", Tumbling(10.0)).use(states) as windows:
        assert [one.count for one in windows.flush()] == [20]


def test_a_plain_application_does_not_import_it() -> None:
    program = (
        "import sys, purista_fast; print([name for name in sys.modules if name.startswith('purista_fast.prepare')])"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert printed == "[]\n"
