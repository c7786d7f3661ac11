"""When handlers run: the calendar against a naive twin, and what jumping clocks do to it."""

import sys
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purista_fast import ConfigError, Context, DefinitionError, Service
from purista_fast.schedules import ON_TIME, Course, Cron, Every, Slots, chance

BERLIN = ZoneInfo("Europe/Berlin")
DAY = 86400.0


def at(text: str, zone: Any = UTC, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.lists(number, min_size=2, max_size=2, unique=True).map(lambda pair: f"{min(pair)}-{max(pair)}")
    part = st.one_of(
        number.map(str), span, st.tuples(span, st.integers(1, 20)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    )
    return st.one_of(
        st.just("*"),
        st.integers(1, 30).map(lambda step: f"*/{step}"),
        st.lists(part, min_size=1, max_size=3).map(",".join),
    )


def numbers(text: str, low: int, high: int) -> set[int]:
    """What a field names, read as simply as can be."""
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        if span == "*":
            low_, high_ = low, high
        else:
            low_, high_ = int(first), int(last or first)
        found.update(range(low_, high_ + 1, int(step or 1)))
    return found


def naive(expression: str, moment: float, zone: Any, days: int) -> float | None:
    """The first minute after a moment that fits, found by looking at each."""
    minute, hour, day, month, weekday = expression.split()
    wanted = [numbers(minute, 0, 59), numbers(hour, 0, 23), numbers(day, 1, 31), numbers(month, 1, 12)]
    weekdays = {number % 7 for number in numbers(weekday, 0, 6)}
    both = day.startswith("*") or weekday.startswith("*")
    tick = moment // 60 * 60
    for _ in range(days * 1440):
        tick += 60
        time = datetime.fromtimestamp(tick, zone)
        if time.month not in wanted[3] or time.hour not in wanted[1] or time.minute not in wanted[0]:
            continue
        of_month, of_week = time.day in wanted[2], (time.weekday() + 1) % 7 in weekdays
        if of_month and of_week if both else of_month or of_week:
            return tick
    return None


EXPRESSIONS = st.tuples(field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6)).map(" ".join)
MOMENTS = st.floats(at("2024-01-01"), at("2028-01-01"))


@settings(deadline=None, max_examples=50)
@given(expression=EXPRESSIONS, moment=MOMENTS)
def test_slots_are_those_of_a_naive_twin(expression: str, moment: float) -> None:
    found = Slots(expression, "UTC").after(moment)
    expected = naive(expression, moment, UTC, 5)
    if expected is None:
        assert found > moment + 5 * DAY - 60
    else:
        assert found == expected


@settings(deadline=None, max_examples=100)
@given(expression=EXPRESSIONS, days=st.integers(0, 1400), seconds=st.floats(0, DAY))
def test_slots_only_go_forward_in_any_summer(expression: str, days: int, seconds: float) -> None:
    slots, moment = Slots(expression, "Europe/Berlin"), at("2024-01-01", BERLIN) + days * DAY + seconds
    for _ in range(5):
        following = slots.after(moment)
        assert following > moment
        moment = following


@settings(deadline=None, max_examples=30)
@given(
    minutes=field(0, 59), day=st.sampled_from(["2026-03-28", "2026-10-24", "2026-07-01"]), seconds=st.floats(0, 2 * DAY)
)
def test_every_hour_is_every_hour_in_any_summer(minutes: str, day: str, seconds: float) -> None:
    """With a star for the hour, summer's first and last hour are hours like others."""
    moment = at(day, BERLIN) + seconds
    expression = f"{minutes} * * * *"
    assert Slots(expression, "Europe/Berlin").after(moment) == naive(expression, moment, BERLIN, 1)


def test_a_time_that_summer_leaves_out_comes_right_after() -> None:
    slots = Slots("30 2 * * *", "Europe/Berlin")
    first = slots.after(at("2026-03-28T12:00", BERLIN))
    assert datetime.fromtimestamp(first, BERLIN) == datetime.fromisoformat("2026-03-29T03:00+02:00")
    assert slots.after(first) == at("2026-03-30T02:30", BERLIN)


def test_a_time_that_comes_twice_is_run_once() -> None:
    slots = Slots("30 2 * * *", "Europe/Berlin")
    first = slots.after(at("2026-10-24T12:00", BERLIN))
    assert first == at("2026-10-25T02:30", BERLIN)
    assert slots.after(first) == at("2026-10-26T02:30", BERLIN)
    between = at("2026-10-25T02:15", BERLIN, fold=1)
    assert between > first
    assert slots.after(between) == at("2026-10-26T02:30", BERLIN), "the second one is not the first"


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("* * * *", "five fields"),
        ("* * * * * *", "five fields"),
        (7, "five fields"),
        ("61 * * * *", "is no cron expression: Bad minute"),
        ("* * 30 2 *", "no cron expression|never comes"),
        ("@daily", "five fields"),
    ],
)
def test_what_is_no_expression(expression: Any, why: str) -> None:
    with pytest.raises(DefinitionError, match=why):
        Service("Clock").cron(expression)


def test_a_time_zone_that_there_is_not() -> None:
    for name in ("Europe/Nowhere", "../etc/passwd", ""):
        with pytest.raises(DefinitionError, match="there is no time zone"):
            Service("Clock").cron("* * * * *", timezone=name)


@pytest.mark.parametrize("interval", [0, -1, float("inf"), float("nan"), "1s", True, None])
def test_an_interval_is_a_time(interval: Any) -> None:
    with pytest.raises(DefinitionError, match="a timer's interval must be above 0 seconds"):
        Service("Clock").every(interval)
    with pytest.raises(ConfigError, match="Clock/1/tick: by its configuration the interval must be above 0 seconds"):
        Every(lambda config: config).interval_for((interval,)[0] or 0, "Clock/1/tick")


def test_jitter_and_missed_are_checked() -> None:
    for jitter in (-1.0, float("nan"), "1s", None):
        with pytest.raises(DefinitionError, match="jitter must be 0 seconds or more"):
            Service("Clock").every(1.0, jitter=jitter)  # type: ignore[arg-type]
    with pytest.raises(DefinitionError, match="must be longer than the jitter"):
        Service("Clock").every(1.0, jitter=1.0)
    with pytest.raises(DefinitionError, match="missed must be one of"):
        Service("Clock").cron("* * * * *", missed="twice")  # type: ignore[arg-type]


def test_a_configuration_that_is_not_there() -> None:
    for schedule in (Every(lambda config: config.interval), Cron(lambda config: config.when)):
        ask = schedule.interval_for if isinstance(schedule, Every) else schedule.slots_for
        with pytest.raises(ConfigError, match=r"Clock/1/tick asks the configuration .* Service\(config=…\)"):
            ask(None, "Clock/1/tick")
    with pytest.raises(ConfigError, match=r"Clock/1/tick: by its configuration: .* five fields .*'often' has not"):
        Cron(lambda config: config).slots_for("often", "Clock/1/tick")


def test_without_cronsim(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cronsim", None)
    with pytest.raises(DefinitionError, match=r"pip install 'purista-fast\[cron\]'"):
        Service("Clock").cron("* * * * *")


def test_a_timer_takes_the_context_alone() -> None:
    with pytest.raises(DefinitionError, match="takes the context and nothing else"):

        @Service("Clock").cron("* * * * *")
        async def tick(ctx: Context, payload: int) -> None: ...


def test_chance() -> None:
    assert chance(0.0) == 0.0
    drawn = [chance(5.0) for _ in range(1000)]
    assert 0.0 <= min(drawn) < 0.5 < 4.5 < max(drawn) <= 5.0


# --- courses


NOON = at("2026-06-01T12:00")


def runs(course: Course, *times: float) -> list[float | None]:
    return [course.due(time) for time in times]


@pytest.mark.parametrize("missed", ["skip", "run_once"])
def test_a_slot_is_run_once_whatever_the_clock_does(missed: Any) -> None:
    course = Course(Slots("*/10 * * * *", "UTC"), missed, NOON)
    assert runs(course, NOON + 1, NOON + 600.5, NOON + 601) == [None, NOON + 600, None]
    assert runs(course, NOON + 590, NOON + 600, NOON + 700) == [None, None, None], "set back"
    assert runs(course, NOON - 3600, NOON, NOON + 1199) == [None, None, None], "by an hour"
    assert runs(course, NOON + 1200) == [NOON + 1200]


def test_a_clock_that_was_wrong_is_forgotten() -> None:
    course = Course(Slots("*/10 * * * *", "UTC"), "skip", NOON)
    assert runs(course, NOON + 3650 * DAY) == [NOON + 3650 * DAY]
    assert runs(course, NOON + 1, NOON + 600) == [None, NOON + 600]


def test_a_jump_forward_misses_what_is_more_than_a_minute_old() -> None:
    for missed, run in (("skip", None), ("run_once", NOON + 5 * 3600 + 300)):
        course = Course(Slots("0 * * * *", "UTC"), missed, NOON)  # type: ignore[arg-type]
        assert runs(course, NOON + 5 * 3600 + 300, NOON + 5 * 3600 + 301) == [run, None]
        assert runs(course, NOON + 6 * 3600) == [NOON + 6 * 3600]
    course = Course(Slots("0 * * * *", "UTC"), "run_once", NOON)
    assert runs(course, NOON + 5 * 3600 + ON_TIME - 1) == [NOON + 5 * 3600], "one run for all"


def test_what_comes_due_during_a_run() -> None:
    for missed, following in (("skip", None), ("run_once", NOON + 180)):
        course = Course(Slots("* * * * *", "UTC"), missed, NOON)  # type: ignore[arg-type]
        assert course.due(NOON + 60) == NOON + 60
        course.ended(NOON + 200)
        assert course.due(NOON + 200) == following
        assert course.wait(NOON + 200) == 40


def test_thirty_years_are_jumped_over_in_no_time() -> None:
    course = Course(Slots("* * * * *", "UTC"), "run_once", 0.0)
    assert course.due(NOON + 90) == NOON + 60


@settings(deadline=None, max_examples=150)
@given(
    missed=st.sampled_from(["skip", "run_once"]),
    expression=st.sampled_from(["* * * * *", "*/7 * * * *", "30 2 * * *", "0 */6 * * *"]),
    zone=st.sampled_from(["UTC", "Europe/Berlin"]),
    steps=st.lists(st.floats(0.5, 100.0) | st.floats(-7200.0, 90_000.0), min_size=1, max_size=60),
)
def test_no_slot_is_run_twice_and_none_before_its_time(
    missed: Any, expression: str, zone: str, steps: list[float]
) -> None:
    """A clock that goes on, stands, and jumps; of the slots that it passes in small steps, none is left out."""
    now = at("2026-10-24T20:00")
    slots = Slots(expression, zone)
    course = Course(slots, missed, now)
    ran: list[float] = []
    highest = now
    for step in steps:
        now += step
        slot = course.due(now)
        if slot is not None:
            assert slot <= now
            assert slot not in ran
            assert not ran or slot > ran[-1]
            ran.append(slot)
        if now > highest:
            coming = slots.after(max(highest, now - ON_TIME))
            if coming <= now:
                assert slot is not None, "it is on time, and was never reached before"
            elif missed == "run_once" and slots.after(highest) <= now:
                assert slot == now
            else:
                assert slot is None
        else:
            assert slot is None
        highest = max(highest, now)


def test_next_runs_are_shown_with_their_offset() -> None:
    slots = Slots("0 3 * * *", "Europe/Berlin")
    assert slots.next(at("2026-10-24T00:00", BERLIN), 3) == [
        "2026-10-24T03:00+02:00",
        "2026-10-25T03:00+01:00",
        "2026-10-26T03:00+01:00",
    ]
    assert timedelta(hours=25).total_seconds() == at("2026-10-25T03:00", BERLIN) - at("2026-10-24T03:00", BERLIN)
