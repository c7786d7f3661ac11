"""When a service's own handlers run: every so often, or by the calendar (cron)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC
from math import inf
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

from .errors import ConfigError, DefinitionError

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

__all__ = ("ON_TIME", "Course", "Cron", "Every", "Missed", "Slots", "chance", "check_times")

Missed = Literal["skip", "run_once"]
"""What happens to runs that were missed: left out, or made good by a single one."""
ON_TIME = 60.0
"""Up to how many seconds after its time a slot of the calendar is still run."""
_WRONG = 86400.0
"""A clock that is set back by more seconds was wrong before."""


class Every(msgspec.Struct, frozen=True):
    """Every so many seconds: ``Service.every``.

    >>> Every(0.5).interval_for(None, "Thermo/1/sample")
    0.5

    :raises DefinitionError: for numbers that cannot work.
    """

    interval: float | Callable[[Any], float]
    """In seconds, or a function of the service's configuration that gives them."""
    jitter: float = 0.0
    """Up to how many seconds later a run begins, by chance."""
    missed: Missed = "skip"

    def __post_init__(self) -> None:
        _check(self.jitter, self.missed)
        if not callable(self.interval):
            self._checked(self.interval, DefinitionError, "a timer's")

    @property
    def asks_configuration(self) -> bool:
        """Whether the configuration says when."""
        return callable(self.interval)

    def interval_for(self, config: Any, label: str) -> float:
        """The interval with a configuration.

        :raises ConfigError: if the configuration gives none.
        """
        if not callable(self.interval):
            return float(self.interval)
        return self._checked(_ask(self.interval, config, label), ConfigError, f"{label}: by its configuration the")

    def describe(self) -> str:
        """In short, for people."""
        length = "by the configuration" if callable(self.interval) else f"every {self.interval:g} s"
        return length + _options(self.jitter, self.missed)

    def _checked(self, interval: Any, kind: type[Exception], what: str) -> float:
        if isinstance(interval, bool) or not isinstance(interval, int | float) or not 0 < interval < inf:
            raise kind(f"{what} interval must be above 0 seconds, not {interval!r}")
        if self.jitter >= interval:
            raise kind(f"{what} interval, {interval:g} s, must be longer than the jitter, {self.jitter:g} s")
        return float(interval)


class Cron(msgspec.Struct, frozen=True):
    """By the calendar: ``Service.cron``.

    :raises DefinitionError: for an expression, a time zone or a jitter that cannot work, or without ``cronsim``.
    """

    expression: str | Callable[[Any], str]
    """Five fields, or a function of the service's configuration that gives them."""
    timezone: str = "UTC"
    jitter: float = 0.0
    """Up to how many seconds later a run begins, by chance."""
    missed: Missed = "skip"

    def __post_init__(self) -> None:
        _check(self.jitter, self.missed)
        try:
            Slots("* * * * *" if callable(self.expression) else self.expression, self.timezone)
        except ValueError as error:
            raise DefinitionError(str(error)) from None

    @property
    def asks_configuration(self) -> bool:
        """Whether the configuration says when."""
        return callable(self.expression)

    def slots_for(self, config: Any, label: str) -> Slots:
        """The times with a configuration.

        :raises ConfigError: if the configuration gives none.
        """
        if not callable(self.expression):
            return Slots(self.expression, self.timezone)
        try:
            return Slots(_ask(self.expression, config, label), self.timezone)
        except ValueError as error:
            raise ConfigError(f"{label}: by its configuration: {error}") from None

    def describe(self) -> str:
        """In short, for people."""
        when = "cron by the configuration" if callable(self.expression) else f"cron {self.expression}"
        return f"{when} {self.timezone}{_options(self.jitter, self.missed)}"


def check_times(schedule: Every | Cron, config: Any, label: str) -> None:
    """Sees that the configuration says when a timer runs.

    :raises ConfigError: if it does not.
    """
    if isinstance(schedule, Cron):
        schedule.slots_for(config, label)
    else:
        schedule.interval_for(config, label)


class Slots:
    """The times of a cron expression, in seconds since 1970.

    >>> slots = Slots("30 2 * * *", "UTC")
    >>> slots.after(0.0), slots.after(9000.0)
    (9000.0, 95400.0)

    :raises ValueError: if there is no such expression or time zone.
    :raises DefinitionError: if ``cronsim`` is not installed.
    """

    __slots__ = ("_zone", "expression")

    def __init__(self, expression: Any, timezone: str) -> None:
        if not isinstance(expression, str) or len(expression.split()) != 5:
            raise ValueError(
                f"a cron expression has five fields (minute, hour, day of month, month, day of week); "
                f"{expression!r} has not"
            )
        self._zone = _zone(timezone)
        self.expression = expression
        cronsim = _cronsim()
        try:
            self.after(0.0)
        except cronsim.CronSimError as error:
            raise ValueError(f"{expression!r} is no cron expression: {error}") from None
        except StopIteration:
            raise ValueError(f"the cron expression {expression!r} names a time that never comes") from None

    def after(self, moment: float) -> float:
        """The first time after a moment."""
        return next(self._from(moment)).timestamp()

    def next(self, moment: float, count: int) -> list[str]:
        """The next times after a moment, as text with the offset of the time zone."""
        found: list[str] = []
        for _ in range(count):
            time = next(self._from(moment))
            moment = time.timestamp()
            found.append(time.isoformat(timespec="minutes"))
        return found

    def _from(self, moment: float) -> Iterator[datetime]:
        from datetime import datetime

        for time in _cronsim().CronSim(self.expression, datetime.fromtimestamp(moment, self._zone)):
            # In the hour that comes twice a year it may begin with the first of the two.
            if time.timestamp() > moment:
                yield time


class Course:
    """What of the calendar is past: which slot is due, whatever the clock does.

    No slot is run twice, whether the clock is set back or summer ends. Slots that the clock jumped over, or that passed
    while nothing ran, are missed.

    >>> course = Course(Slots("0 * * * *", "UTC"), "skip", 0.0)
    >>> course.wait(3590.0), course.due(3590.0), course.due(3601.0), course.due(3600.0)
    (10.0, None, 3600.0, None)

    :param past: up to when all is past, in seconds since 1970.
    """

    __slots__ = ("_coming", "_missed", "_slots", "first", "past")

    def __init__(self, slots: Slots, missed: Missed, past: float) -> None:
        self._slots = slots
        self._missed = missed
        self.past = past
        self.first = past
        """The first of the slots that :meth:`due` found to be due."""
        self._coming = (past, slots.after(past))

    def due(self, now: float) -> float | None:
        """The slot that is to run now, which is past then; the present time if it stands for missed ones."""
        if now < self.past - _WRONG:
            self.past = now
        coming = self._following()
        if coming > now:
            return None
        self.first = coming
        # From the last minute on, for there may be millions before it.
        slot, coming = None, self._slots.after(max(self.past, now - ON_TIME))
        while coming <= now:
            slot, coming = coming, self._slots.after(coming)
        if slot is None and self._missed == "run_once":
            slot = now
        self.past = now if slot is None else slot
        return slot

    def wait(self, now: float) -> float:
        """How many seconds it is until the next slot, by this clock."""
        return max(0.0, self._following() - now)

    def _following(self) -> float:
        """The first slot that is not past."""
        if self._coming[0] != self.past:
            self._coming = (self.past, self._slots.after(self.past))
        return self._coming[1]

    def ended(self, now: float) -> None:
        """To be told when a run has ended: what came due meanwhile is missed."""
        if self._missed == "skip":
            self.past = max(self.past, now)


def chance(jitter: float) -> float:
    """So many seconds or less, by chance."""
    if not jitter:
        return 0.0
    import random  # most applications never need it

    return random.uniform(0.0, jitter)  # noqa: S311 - nothing secret


def _check(jitter: object, missed: object) -> None:
    if isinstance(jitter, bool) or not isinstance(jitter, int | float) or not 0 <= jitter < inf:
        raise DefinitionError(f"jitter must be 0 seconds or more, not {jitter!r}")
    if missed not in get_args(Missed):
        raise DefinitionError(f"missed must be one of {get_args(Missed)}, not {missed!r}")


def _options(jitter: float, missed: Missed) -> str:
    return (f", up to {jitter:g} s later" if jitter else "") + (", missed runs: one" if missed == "run_once" else "")


def _ask(function: Callable[[Any], Any], config: Any, label: str) -> Any:
    if config is None:
        raise ConfigError(f"{label} asks the configuration when to run, and its service has none: Service(config=…)")
    return function(config)


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    import zoneinfo

    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"there is no time zone {name!r} on this machine; it is named like 'Europe/Berlin', and comes with the "
            "system's package tzdata or with that of Python"
        ) from None


def _cronsim() -> Any:
    from importlib import import_module

    try:
        return import_module("cronsim")  # most applications do without
    except ImportError:
        raise DefinitionError("cron needs the package cronsim: pip install 'purista-fast[cron]'") from None
