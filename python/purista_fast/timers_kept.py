"""Timers whose last run is kept over restarts: those by the calendar, and those that make good what they missed."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import anyio
import msgspec

from .policy import Trust
from .schedules import Course, Cron, Every, chance
from .storage.clock import Moment, PoweredClock

if TYPE_CHECKING:
    from .definition import Timer
    from .runtime import Runtime
    from .scope import Scope
    from .stores import Stores

__all__ = ("Clocks", "KeptTimers")

logger = logging.getLogger("purista_fast.app")
_PLACE = ":"
"""Under which service's name the records are kept: no service can have this one."""
_LOOK = 30.0
"""How often is looked at the clocks, for one may jump, and the other stand still, in seconds."""


class Clocks:
    """The clocks of a device."""

    def __init__(self, trust: Trust) -> None:
        self.powered = PoweredClock(trust)
        self._known: Moment | None = None
        """The latest moment at which the wall clock was known to be right."""

    def wall(self) -> float:
        """What time it is, in seconds since 1970, as far as that can be known.

        A clock that is not known to be right cannot be behind what it was when it was, and the time since then.
        """
        now, wall = self.powered.now(), time.time()
        if now.wall is not None:
            self._known = now
        elif self._known is not None and self._known.wall is not None:
            wall = max(wall, self._known.wall / 1000 + now.powered - self._known.powered)
        return wall

    def resume(self, record: Record) -> None:
        """Goes on where a record was written, if that is the latest of all."""
        if record.clock[0] < self.powered.state()[0]:
            return
        self.powered.resume(*record.clock)
        self._known = record.moment if record.wall is not None else None

    def age(self, record: Record) -> float:
        """How long ago a record was written, in seconds."""
        return self.powered.age(record.moment)

    def steady(self) -> float:
        """Seconds since some moment; set by nobody."""
        return anyio.current_time()

    async def sleep(self, seconds: float) -> None:
        """Lets time pass."""
        await anyio.sleep(seconds)


class Record(msgspec.Struct, frozen=True):
    """When a timer last ran."""

    past: float
    """The slot, in seconds since 1970; of a timer with an interval the wall clock."""
    clock: tuple[float, float, str]
    """Powered seconds, seconds since boot, and which boot."""
    wall: int | None
    """Milliseconds since 1970, if the clock was known to be right."""

    @property
    def moment(self) -> Moment:
        """When it was written."""
        return Moment(self.clock[0], self.wall)


class KeptTimers:
    """Runs them.

    :param clocks: others, for tests.
    """

    def __init__(self, runtime: Runtime, stores: Stores, trust: Trust, clocks: Clocks | None = None) -> None:
        self._runtime = runtime
        self._stores = stores
        self._clocks = clocks or Clocks(trust)

    async def run(self, timers: list[tuple[Timer, Scope]]) -> None:
        """Runs these until it is cancelled."""
        kept = [_Kept(self._runtime, self._stores, self._clocks, timer, scope) for timer, scope in timers]
        for one in kept:
            await one.load()
        # First all of them, for the latest record says what time it is.
        async with anyio.create_task_group() as tasks:
            for one in kept:
                tasks.start_soon(one.run)


class _Kept:
    """One of them."""

    def __init__(self, runtime: Runtime, stores: Stores, clocks: Clocks, timer: Timer, scope: Scope) -> None:
        self._runtime = runtime
        self._stores = stores
        self._clocks = clocks
        self._timer = timer
        self._scope = scope
        self._data: bytes | None = None
        """The record as it is kept, as far as is known."""
        self._record: Record | None = None

    async def load(self) -> bool:
        """Reads the record; whether the store could tell."""
        try:
            self._data = await self._stores.store().get(_PLACE, self._scope.label)
            self._record = None if self._data is None else msgspec.json.decode(self._data, type=Record)
        except Exception as error:  # noqa: BLE001 - a store may be anything; the timer runs without
            logger.warning("%s: its last run is not known: %s", self._scope.label, error)
            return False
        if self._record is not None:
            self._clocks.resume(self._record)
        return True

    async def run(self) -> None:
        """Runs it until it is cancelled."""
        schedule = self._timer.schedule
        if isinstance(schedule, Cron):
            await self._by_calendar(schedule)
        else:
            await self._by_interval(schedule)

    async def _by_calendar(self, schedule: Cron) -> None:
        now = self._clocks.wall()
        past = self._past(now) if schedule.missed == "run_once" else max(now, self._past(now))
        course = Course(schedule.slots_for(self._scope.config, self._scope.label), schedule.missed, past)
        if self._record is None and schedule.missed == "run_once":
            await self._claim(now, now)
        while True:
            now = self._clocks.wall()
            slot = course.due(now)
            if slot is None:
                await self._clocks.sleep(min(course.wait(now), _LOOK))
                continue
            await self._clocks.sleep(chance(schedule.jitter))
            if await self._claim(slot, course.first):
                await self._runtime.tick(self._timer, self._scope)
                course.ended(self._clocks.wall())
            elif self._record is not None:
                course.past = self._record.past

    def _past(self, now: float) -> float:
        """Up to when all slots are past."""
        record = self._record
        if record is None:
            return now
        is_other_boot = record.clock[2] != self._clocks.powered.state()[2]
        if record.past > now and is_other_boot and not self._clocks.powered.is_right():
            return now  # a device whose clock begins anew each time: it was never right
        return record.past

    async def _by_interval(self, schedule: Every) -> None:
        interval = schedule.interval_for(self._scope.config, self._scope.label)
        if self._record is None:
            await self._claim(self._clocks.wall(), 0.0)
        due = self._clocks.steady() + max(0.0, self._left(interval))
        while True:
            left = min(due - self._clocks.steady(), self._left(interval))
            if left > 0:
                await self._clocks.sleep(min(left, _LOOK))
                continue
            await self._clocks.sleep(chance(schedule.jitter))
            if await self._claim(self._clocks.wall(), 0.0):
                await self._runtime.tick(self._timer, self._scope)
                now = self._clocks.steady()
                # One run stands for all that came due meanwhile, or that the clocks jumped over.
                due = min(max(due + interval, now), now + interval)
            else:
                due = self._clocks.steady() + max(0.0, self._left(interval))

    def _left(self, interval: float) -> float:
        """How many seconds are left until an interval after the last run is over."""
        return interval if self._record is None else interval - self._clocks.age(self._record)

    async def _claim(self, slot: float, first: float) -> bool:
        """Keeps that a run begins; False if another process had it since the record was read, which is read anew."""
        clock = self._clocks.powered
        record = Record(slot, clock.state(), clock.now().wall)
        data = msgspec.json.encode(record)
        while True:
            try:
                is_ours = await self._stores.store().compare_and_set(_PLACE, self._scope.label, self._data, data, None)
            except Exception as error:  # noqa: BLE001 - a store may be anything; the timer runs nevertheless
                logger.warning("%s runs, but a restart will not know of it: %s", self._scope.label, error)
                self._record = record
                return True
            if is_ours:
                self._data, self._record = data, record
                return True
            if not await self.load():
                return True
            if self._record is not None and self._record.past >= first:
                return False
