"""Timers whose last run is kept: restarts, power cuts, clocks that jump, and stores that fail. Time is made up."""

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purista_fast import Context, Service, StatusCode, UnhandledError, testing
from purista_fast.config import Settings
from purista_fast.schedules import Cron, Every
from purista_fast.storage.clock import Moment, PoweredClock
from purista_fast.stores import Stores
from purista_fast.timers_kept import Clocks, KeptTimers, _Kept

pytestmark = pytest.mark.anyio
DAY = 86400.0
NOON = 1_780_315_200.0
"""2026-06-01 12:00 UTC."""


class Off(Exception):  # noqa: N818 - it is none
    """The process ends."""


class Device(Clocks):
    """A device whose clocks are made up: sleeping lets time pass at once, and only then what is planned happens."""

    def __init__(self, *, is_right: bool = True) -> None:
        self.passed = 0.0
        self.real = NOON
        """What time it really is."""
        self.offset = 0.0
        """How far the wall clock is off."""
        self.is_right = is_right
        self.boots = 1
        self.since_boot = 100.0
        self.ends = float("inf")
        self.plans: list[tuple[float, Callable[[], None]]] = []
        self.starts()

    def starts(self) -> None:
        """A process begins."""
        self.powered = Powered(self)
        self._known: Moment | None = None

    def cut(self, seconds: float) -> None:
        """It has no power for so long."""
        self.real += seconds
        self.boots += 1
        self.since_boot = 5.0

    def wall(self) -> float:
        now = self.powered.now()
        if now.wall is not None:
            self._known = now
            return now.wall / 1000
        known = self._known
        floor = known.wall / 1000 + now.powered - known.powered if known is not None and known.wall is not None else 0.0
        return max(self.real + self.offset, floor)

    def steady(self) -> float:
        return self.passed

    def advance(self, seconds: float) -> None:
        self.passed += seconds
        self.real += seconds
        self.since_boot += seconds

    async def sleep(self, seconds: float) -> None:
        await anyio.lowlevel.checkpoint()
        self.plans.sort(key=lambda plan: plan[0])
        while self.plans and self.plans[0][0] <= self.passed + seconds:
            when, plan = self.plans.pop(0)
            step = max(0.0, when - self.passed)
            self.advance(step)
            seconds -= step
            plan()
        self.advance(min(seconds, max(0.0, self.ends - self.passed)))
        if self.passed >= self.ends:
            raise Off


class Powered(PoweredClock):
    """Its powered time."""

    def __init__(self, device: Device) -> None:
        self.device = device
        super().__init__("never")
        self._base = -device.since_boot

    def resume(self, powered: float, since_boot: float, boot_id: str) -> None:
        same = boot_id == str(self.device.boots)
        self._base = powered - since_boot if same else powered

    def state(self) -> tuple[float, float, str]:
        return self._base + self.device.since_boot, self.device.since_boot, str(self.device.boots)

    def now(self) -> Moment:
        wall = int((self.device.real + self.device.offset) * 1000) if self.device.is_right else None
        return Moment(self._base + self.device.since_boot, wall)

    def is_right(self) -> bool:
        return self.device.is_right


class Lab:
    """One timer on one device, over restarts."""

    def __init__(self, schedule: Every | Cron, *, is_right: bool = True, takes: float = 0.0) -> None:
        config = Settings()
        config.states.url = "memory://"
        self.stores = Stores(config, "app")
        self.device = Device(is_right=is_right)
        self.timer: Any = SimpleNamespace(schedule=schedule)
        self.scope: Any = SimpleNamespace(label="Clock/1/tick", config=None)
        self.takes = takes
        self.ran: list[float] = []
        """By the wall clock, since noon."""

    async def tick(self, _timer: Any, _scope: Any) -> None:
        self.ran.append(round(self.device.real + self.device.offset - NOON, 3))
        self.device.advance(self.takes)

    def kept(self) -> _Kept:
        return _Kept(self, self.stores, self.device, self.timer, self.scope)  # type: ignore[arg-type] # it ticks

    async def run(self, seconds: float) -> list[float]:
        """A process runs for so long, and is killed; the times of its runs."""
        self.ran = []
        self.device.starts()
        self.device.ends = self.device.passed + seconds
        try:
            await KeptTimers(self, self.stores, "never", self.device).run(  # type: ignore[arg-type] # it ticks
                [(self.timer, self.scope)]
            )
        except* Off:
            pass
        return self.ran


@pytest.mark.parametrize("is_right", [True, False])
async def test_an_interval_goes_on_over_restarts(is_right: bool) -> None:
    lab = Lab(Every(3600.0, missed="run_once"), is_right=is_right)
    assert await lab.run(3 * 3600 + 10) == [3600, 7200, 10800]
    assert await lab.run(3600) == [14400], "the rest of the hour"
    lab.device.advance(5 * 3600.0)  # the device runs, the process does not
    assert await lab.run(3700) == [32410, 36010], "one for all that were missed, at once"


async def test_the_first_interval_is_over_although_no_process_lives_as_long() -> None:
    lab = Lab(Every(DAY, missed="run_once"))
    ran = [await lab.run(DAY / 3 + 1) for _ in range(4)]
    assert ran == [[], [], [pytest.approx(DAY, abs=3)], []]


async def test_time_without_power_counts_if_the_clock_is_right() -> None:
    """If it is not, the time since the last record is lost as well, but for what the new boot has taken."""
    for is_right, ran in ((True, [[3 * 3600.0], [3 * 3600 + 3600.0]]), (False, [[], [3 * 3600 + 3595.0]])):
        lab = Lab(Every(3600.0, missed="run_once"), is_right=is_right)
        assert await lab.run(600) == []
        lab.device.cut(3 * 3600.0 - 600)
        assert [await lab.run(3100), await lab.run(3000)] == ran


async def test_an_interval_is_shorter_than_a_run() -> None:
    lab = Lab(Every(10.0, missed="run_once"), takes=25.0)
    assert await lab.run(90) == [10, 35, 60, 85]


@pytest.mark.parametrize("missed", ["skip", "run_once"])
async def test_the_calendar_goes_on_over_restarts(missed: Any) -> None:
    lab = Lab(Cron("0 * * * *", missed=missed))
    assert await lab.run(2 * 3600 + 10) == [3600, 7200]
    lab.device.advance(5 * 3600.0)
    assert await lab.run(3600) == ([25210] if missed == "run_once" else []) + [28800]


async def test_what_the_first_process_did_not_reach_was_missed() -> None:
    lab = Lab(Cron("0 * * * *", missed="run_once"))
    assert await lab.run(60) == []
    lab.device.cut(2 * 3600.0)
    assert await lab.run(60) == [7260]


async def test_a_slot_is_not_run_again_by_a_clock_that_was_set_back() -> None:
    for is_right in (True, False):
        lab = Lab(Cron("*/10 * * * *"), is_right=is_right)
        assert await lab.run(1201) == [600, 1200]
        lab.device.offset = -900.0
        assert await lab.run(900 + 600) == [1800], "the restart knows"
    lab = Lab(Cron("*/10 * * * *"))
    lab.device.plans.append((1201.0, lambda: setattr(lab.device, "offset", -900.0)))
    assert await lab.run(1201 + 900 + 600) == [600, 1200, 1800], "and so does the process"


async def test_a_jump_forward_is_noticed() -> None:
    for missed, ran in (("skip", [3600]), ("run_once", [3600, 3600 * 5 + 1800 + 30])):
        lab = Lab(Cron("0 * * * *", missed=missed))  # type: ignore[arg-type] # one of them
        lab.device.plans.append((3600.0 + 10, lambda lab=lab: setattr(lab.device, "offset", 3600 * 4 + 1790.0)))  # type: ignore[misc]
        found = await lab.run(3700)
        assert found == pytest.approx(ran, abs=31)


async def test_a_device_without_a_clock_battery_starts_where_it_was() -> None:
    """It starts in 1970 until it has asked a time server: then no slot has been run twice."""
    lab = Lab(Cron("0 * * * *", missed="run_once"))
    assert await lab.run(3700) == [3600]
    lab.device.cut(60.0)
    lab.device.is_right, lab.device.offset = False, -lab.device.real
    found_right = lambda: (setattr(lab.device, "is_right", True), setattr(lab.device, "offset", 0.0))  # noqa: E731
    lab.device.plans.append((lab.device.passed + 300, found_right))
    assert await lab.run(3600) == [7200]


async def test_a_device_that_never_knows_the_time_begins_anew_each_time() -> None:
    lab = Lab(Cron("*/10 * * * *"), is_right=False)
    assert await lab.run(3700) == [600, 1200, 1800, 2400, 3000, 3600]
    lab.device.cut(60.0)
    lab.device.offset = -(lab.device.real - NOON)
    assert await lab.run(700) == [600]


async def test_jitter_delays_a_run_by_chance() -> None:
    lab = Lab(Cron("0 * * * *", jitter=600.0))
    found = await lab.run(20 * 3600)
    late = [run % 3600 for run in found]
    assert len(found) in (19, 20)
    assert len({*late}) > 10
    assert 0 < max(late) <= 600


async def test_processes_share_a_calendar() -> None:
    lab = Lab(Cron("0 * * * *"))
    one, other, third = lab.kept(), lab.kept(), lab.kept()
    for kept in (one, other, third):
        await kept.load()
    assert await one._claim(NOON + 3600, NOON + 3600)
    assert not await other._claim(NOON + 3600, NOON + 3600)
    assert not await third._claim(NOON + 3601, NOON + 3600), "missed ones are one occasion"
    assert await other._claim(NOON + 7200, NOON + 7200)
    assert not await one._claim(NOON + 7200, NOON + 7200)
    assert await one._claim(NOON + 10800, NOON + 10800)


async def test_a_timer_runs_although_nothing_can_be_kept(caplog: pytest.LogCaptureFixture) -> None:
    for schedule in (Cron("0 * * * *", missed="run_once"), Every(3600.0, missed="run_once")):
        lab = Lab(schedule)
        store = lab.stores.store()

        async def refuse(*_: Any) -> Any:
            raise UnhandledError(StatusCode.INSUFFICIENT_STORAGE, "the disk is full")

        store.compare_and_set = refuse  # type: ignore[method-assign]
        with caplog.at_level(logging.WARNING):
            assert await lab.run(2 * 3600 + 10) == [3600, 7200]
        assert "Clock/1/tick runs, but a restart will not know of it: 507 the disk is full" in caplog.text
        store.get = refuse  # type: ignore[method-assign]
        assert await lab.run(3600 * 2) != []
        assert "Clock/1/tick: its last run is not known: 507 the disk is full" in caplog.text


async def test_a_record_that_cannot_be_read_is_made_anew(caplog: pytest.LogCaptureFixture) -> None:
    lab = Lab(Cron("0 * * * *"))
    await lab.stores.store().set(":", "Clock/1/tick", b'{"past": "long"}', None)
    assert await lab.run(3700) == [3600]
    assert "its last run is not known" in caplog.text
    assert await lab.run(3600) == [7200]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.floats(1.0, 9_000.0)),
        st.tuples(st.just("pass"), st.floats(1.0, 20_000.0)),
        st.tuples(st.just("cut"), st.floats(1.0, 100_000.0)),
        st.tuples(st.just("jump"), st.floats(-40_000.0, 40_000.0)),
    ),
    min_size=2,
    max_size=10,
)


@settings(deadline=None, max_examples=40)
@given(
    steps=STEPS,
    missed=st.sampled_from(["skip", "run_once"]),
    of=st.sampled_from([("*/20 * * * *", 1200.0), ("0 */3 * * *", 10800.0)]),
)
def test_no_slot_is_claimed_twice_by_whatever_happens(steps: list[Any], missed: Any, of: tuple[str, float]) -> None:
    """Runs, restarts, power cuts, and a wall clock that is set by up to half a day, each in any order."""
    expression, length = of

    async def play() -> None:
        lab = Lab(Cron(expression, missed=missed))
        claimed = [0.0]
        for verb, amount in steps:
            if verb == "run":
                for ran in await lab.run(amount):
                    claimed.append((NOON + ran) // length * length)
                    assert claimed[-1] > claimed[-2]
            elif verb == "pass":
                lab.device.advance(amount)
            elif verb == "cut":
                lab.device.cut(amount)
            else:
                lab.device.offset = amount

    anyio.run(play)


async def test_a_timer_is_a_function_in_tests() -> None:
    service = Service("Clock")

    @service.cron("0 * * * *")
    async def tick(ctx: Context) -> int:
        return int(await ctx.states.increment("ticks"))

    assert await tick(testing.context()) == 1
    assert repr(tick) == "<timer Clock/1/tick>"
