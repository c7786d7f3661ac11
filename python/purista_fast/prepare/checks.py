"""What every piece refuses, and what it leaves out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import isfinite
from typing import Any, Literal

from msgspec import Struct

from ..errors import DefinitionError

__all__ = ("Gate", "LeftOut", "Reason", "check_bound", "check_seconds", "is_number", "seconds_of", "value_of")

logger = logging.getLogger("purista_fast.prepare")

Reason = Literal["late", "early", "keys"]
_LONGEST_KEY = 256
_LATEST = 1e11
"""The year 5138, in seconds since 1970; what is beyond counts something else."""
_LARGEST = 1e100
"""Beyond it the squares of a standard deviation would not fit a float."""


class LeftOut(Struct, frozen=True):
    """A value that was not taken in."""

    reason: Reason
    """``late``: its window has closed. ``early``: its time is further ahead than is believed. ``keys``: there are as
    many keys as may be."""
    key: str
    time: float
    value: Any


class Gate:
    """Lets keys and values in, counts what is left out, and tells of it.

    :param what: the piece, for people.
    :param left_out: told of each value that is left out; logged, ever more rarely, unless given.
    """

    def __init__(self, what: str, max_keys: int, left_out: Callable[[LeftOut], object] | None) -> None:
        check_bound(what, "max_keys", max_keys)
        self.max_keys = max_keys
        self.counts: dict[str, int] = {}
        self._what = what
        self._tell = left_out

    def key(self, key: Any) -> None:
        """Checks a key.

        :raises ValueError: if it is no text of 1 to 256 characters.
        """
        if not isinstance(key, str) or not 0 < len(key) <= _LONGEST_KEY or not _is_text(key):
            raise ValueError(f"{self._what}: a key must be a text of 1 to {_LONGEST_KEY} characters, not {key!r:.80}")

    def leave_out(self, reason: Reason, key: str, time: float, value: Any) -> None:
        """Counts a value, and tells of it."""
        count = self.counts[reason] = self.counts.get(reason, 0) + 1
        if self._tell is not None:
            self._tell(LeftOut(reason, key, time, value))
        elif not count & (count - 1):  # the first, second, fourth, eighth…
            logger.warning(
                "%s: %s of %r at %g was left out: %s; %d so far", *(self._what, value, key, time, reason, count)
            )


def _is_text(key: str) -> bool:
    """Whether it can be kept; the name of a file may hold what no text has, and one such key would spoil the state."""
    if key.isascii():
        return True
    try:
        key.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_bound(what: str, name: str, bound: Any) -> None:
    """Checks a bound.

    :raises DefinitionError: if it is no number from 1.
    """
    if isinstance(bound, bool) or not isinstance(bound, int) or bound < 1:
        raise DefinitionError(f"{what}: {name} must be a whole number from 1, not {bound!r}")


def check_seconds(what: str, name: str, seconds: Any, *, least: float = 0.0) -> float:
    """Checks a duration.

    :raises DefinitionError: if it is no number from ``least``.
    """
    if not is_number(seconds, least, _LATEST):
        raise DefinitionError(f"{what}: {name} must be seconds from {least:g}, not {seconds!r}")
    return float(seconds)


def is_number(found: Any, least: float, most: float) -> bool:
    """Whether it is a number of that range."""
    return isinstance(found, (int, float)) and not isinstance(found, bool) and least <= found <= most


def seconds_of(time: Any, what: str, key: str = "") -> float:
    """A moment as a float.

    :raises ValueError: if it is none.
    """
    try:
        found = float(time)
    except (TypeError, ValueError, OverflowError):
        found = float("nan")
    if not abs(found) <= _LATEST:
        of = f" of {key!r}" if key else ""
        raise ValueError(f"{what}: the time{of} must be seconds, at most {_LATEST:g} (milliseconds?), not {time!r:.80}")
    return found


def value_of(value: Any, what: str, key: str) -> float:
    """A measured value as a float.

    :raises ValueError: if it is no number, not finite, or too large to reckon with.
    """
    try:
        found = float(value) if not isinstance(value, (str, bytes)) else float("nan")
    except (TypeError, ValueError, OverflowError):
        found = float("nan")
    if not isfinite(found) or abs(found) > _LARGEST:
        raise ValueError(f"{what}: a value of {key!r} must be a finite number up to {_LARGEST:g}, not {value!r:.80}")
    return found
