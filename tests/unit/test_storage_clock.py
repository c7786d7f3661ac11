"""Powered time, and the wall clock where it is known to be right."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from purista_fast.storage import clock as module
from purista_fast.storage.clock import NEVER, Moment, PoweredClock

DAY = 86400.0
TEN_YEARS = 3652 * DAY


class Device:
    """A device whose time passes by hand."""

    def __init__(self) -> None:
        self.since_boot = 1000.0
        self.wall = 1_700_000_000.0
        self.boot_id = "first"
        self.is_synchronised = True
        self.asked = 0

    def passes(self, seconds: float) -> None:
        self.since_boot += seconds
        self.wall += seconds

    def reboots(self, *, off: float = 0.0, wall: float | None = None) -> None:
        self.since_boot = 5.0
        self.boot_id += "'"
        self.wall = self.wall + off if wall is None else wall

    def ask(self) -> bool:
        self.asked += 1
        return self.is_synchronised


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    made = Device()
    monkeypatch.setattr(module, "_since_boot", lambda: made.since_boot)
    monkeypatch.setattr(module, "_boot_id", lambda: made.boot_id)
    monkeypatch.setattr(module, "_is_synchronised", made.ask)
    monkeypatch.setattr(time, "time", lambda: made.wall)
    return made


def restarted(clock: PoweredClock, trust: module.Trust = "auto") -> PoweredClock:
    """The clock of a new process, which knows what the old one has written."""
    again = PoweredClock(trust)
    again.resume(*clock.state())
    return again


def test_time_begins_at_zero_and_passes(device: Device) -> None:
    clock = PoweredClock()
    assert clock.now().powered == 0
    device.passes(10)
    assert clock.now() == Moment(10.0, 1_700_000_010_000)
    assert clock.age(NEVER) == 10


def test_a_restart_of_the_process_loses_no_time(device: Device) -> None:
    clock = PoweredClock()
    then = clock.now()
    device.passes(10)
    state = clock.state()
    device.passes(90)  # no process runs, the device does
    again = PoweredClock()
    again.resume(*state)
    assert again.age(then) == 100


def test_time_without_power_does_not_count_while_the_wall_clock_is_unknown(device: Device) -> None:
    clock = PoweredClock("never")
    then = clock.now()
    device.passes(100)
    state = clock.state()
    device.reboots(off=30 * DAY)
    again = PoweredClock("never")
    again.resume(*state)
    assert again.age(then) == 105, "in this boot it has been powered for 5 s"
    device.passes(50)
    assert again.age(then) == 155


def test_time_without_power_counts_where_the_wall_clock_is_right(device: Device) -> None:
    clock = PoweredClock()
    then = clock.now()
    device.reboots(off=30 * DAY)
    assert restarted(clock).age(then) == pytest.approx(30 * DAY)


def test_another_boot_that_has_run_for_longer_is_another_boot(device: Device) -> None:
    clock = PoweredClock()
    state = clock.state()
    device.reboots()
    device.passes(5000)
    again = PoweredClock()
    again.resume(*state)
    assert again.now().powered == state[0] + 5005, "since boot it was powered"


@pytest.mark.parametrize("boot_id", ["", "first"])
def test_without_a_boot_id_each_process_counts_as_a_boot(device: Device, boot_id: str) -> None:
    clock = PoweredClock()
    device.passes(100)
    powered, since_boot, _ = clock.state()
    device.boot_id = ""
    again = PoweredClock()
    again.resume(powered, since_boot, boot_id)
    assert again.now().powered >= powered, "it never goes back"


@pytest.mark.parametrize("jump", [TEN_YEARS, -TEN_YEARS, -1_700_000_000.0])
def test_a_clock_that_is_not_right_changes_nothing(device: Device, jump: float) -> None:
    device.is_synchronised = False
    clock = PoweredClock()
    then = clock.now()
    assert then.wall is None
    device.wall += jump
    device.passes(60)
    assert clock.age(then) == 60


def test_an_event_from_before_the_clock_was_right_keeps_its_powered_age(device: Device) -> None:
    device.wall, device.is_synchronised = 0.0, False
    clock = PoweredClock()
    then = clock.now()
    device.passes(60)
    device.wall, device.is_synchronised = 1_700_000_000.0, True
    assert clock.now().wall == 1_700_000_000_000
    assert clock.age(then) == 60


def test_a_trusted_clock_that_jumps_is_taken_at_its_word_but_never_makes_younger(device: Device) -> None:
    clock = PoweredClock("always")
    device.is_synchronised = False
    then = clock.now()
    device.passes(60)
    device.wall += TEN_YEARS
    assert clock.age(then) == pytest.approx(TEN_YEARS + 60)
    device.wall -= 2 * TEN_YEARS
    assert clock.age(then) == 60
    assert device.asked == 0


def test_a_clock_that_is_never_trusted_is_not_asked(device: Device) -> None:
    assert PoweredClock("never").now().wall is None
    assert device.asked == 0


def test_the_kernel_is_asked_now_and_then(device: Device) -> None:
    clock = PoweredClock()
    for _ in range(100):
        clock.now()
    assert device.asked == 1
    device.passes(31)
    device.is_synchronised = False
    assert clock.now().wall is None
    assert device.asked == 2


def test_no_age_is_below_zero(device: Device) -> None:
    clock = PoweredClock()
    assert clock.age(Moment(1e9, None)) == 0
    assert clock.age(Moment(1e9, 1 << 50)) == 0


@pytest.mark.parametrize(("answer", "is_right"), [(0, True), (1, True), (4, True), (5, False), (-1, False)])
def test_what_adjtimex_answers(monkeypatch: pytest.MonkeyPatch, answer: int, is_right: bool) -> None:
    monkeypatch.setattr(module, "clock_state", lambda: answer)
    assert (PoweredClock().now().wall is not None) is is_right


def test_the_real_kernel_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert module.clock_state() in range(-1, 6)
    assert isinstance(PoweredClock().is_right(), bool)
    assert len(PoweredClock().state()[2]) == 36
    monkeypatch.setattr(module, "_BOOT_ID", tmp_path / "none")
    assert PoweredClock().state()[2] == ""
