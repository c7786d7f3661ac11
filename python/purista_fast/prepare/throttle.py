"""A throttle: of what comes too often, the latest."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from .checks import Gate, check_seconds, seconds_of

__all__ = ("Latest", "Throttle", "ThrottleState")

T = TypeVar("T")


class Latest(Struct, Generic[T], frozen=True):
    """A value whose turn it is."""

    key: str
    time: float
    value: T


class Held(Struct):
    """What is known of a key."""

    at: float
    """When a value of it went on last, in seconds."""
    time: float
    """The latest time of a value."""
    value: Any | UnsetType = UNSET
    """The value of that time, while it waits."""


class ThrottleState(Struct):
    """What a throttle knows; whose value went on last is last."""

    keys: dict[str, Held] = field(default_factory=dict)
    replaced: int = 0


class Throttle(Generic[T]):
    """Lets one value of a key go on in each ``interval``, and of those in between the latest.

    The first value goes on at once. What comes within the interval waits, and a later one takes its place; it goes on
    with :meth:`advance`, once the interval is over. So the last value is never lost.

    >>> throttle = Throttle(10.0, type=float)
    >>> throttle.add("attic", 0.0, 20.0)
    [Latest(key='attic', time=0.0, value=20.0)]
    >>> throttle.add("attic", 3.0, 21.0), throttle.add("attic", 6.0, 22.0), throttle.advance(9.0)
    ([], [], [])
    >>> throttle.advance(10.0), throttle.advance(30.0)
    ([Latest(key='attic', time=6.0, value=22.0)], [])

    :param interval: in seconds.
    :param type: what the values are: whatever msgspec knows.
    :param max_keys: how many keys are known. For one more the key is forgotten of which none went on for longest, and
        what waits of it goes on at once.
    :raises DefinitionError: for numbers that cannot work.
    """

    state_type = ThrottleState

    def __init__(self, interval: float, *, type: type[T], max_keys: int = 1000) -> None:
        what = self._what = f"Throttle({interval!r})"
        self._interval = check_seconds(what, "interval", interval, least=0.001)
        self._type = type
        self._gate = Gate(what, max_keys, None)
        self._state = ThrottleState()

    @property
    def replaced(self) -> int:
        """How many values another one took the place of."""
        return self._state.replaced

    def __len__(self) -> int:
        """How many keys there are."""
        return len(self._state.keys)

    def add(self, key: str, time: float, value: T) -> list[Latest[T]]:
        """Takes a value in; gives it back if it may go on at once, and what has to go because there are too many keys.

        A value that is older than the latest one takes nobody's place; one that is older by the interval or more is the
        first of a clock that was set back.

        :param time: when it was measured, in seconds.
        :raises ValueError: if the time is no finite number, the key is no text of 1 to 256 characters, or the value is
            none of the type, or could not be kept: no JSON can be made of NaN.
        """
        self._gate.key(key)
        time, keys = seconds_of(time, self._what, key), self._state.keys
        self._check(key, value)
        held = keys.get(key)
        if held is None:
            gone: list[Latest[T]] = []
            if len(keys) >= self._gate.max_keys:
                gone = self._take(next(iter(keys)))
            keys[key] = Held(time, time)
            return [*gone, Latest(key, time, value)]
        if time <= held.time - self._interval:
            gone = self._take(key)
            keys[key] = Held(time, time)
            return [*gone, Latest(key, time, value)]
        if time < held.time:
            self._state.replaced += 1
            return []
        if held.value is not UNSET:
            self._state.replaced += 1
        held.time, held.value = time, value
        return self._pass_on(key, time) if time - held.at >= self._interval else []

    def advance(self, now: float) -> list[Latest[T]]:
        """It is ``now``, in seconds, for all keys: gives the values whose interval is over.

        :raises ValueError: if ``now`` is no finite number.
        """
        now = seconds_of(now, self._what)
        waiting = [(key, held) for key, held in self._state.keys.items() if held.value is not UNSET]
        # A clock that was set back holds up nothing.
        due = [key for key, held in waiting if abs(now - held.at) >= self._interval]
        return [found for key in due for found in self._pass_on(key, now)]

    def flush(self) -> list[Latest[T]]:
        """Gives all values that wait, and forgets all keys."""
        return [found for key in list(self._state.keys) for found in self._take(key)]

    def snapshot(self) -> ThrottleState:
        """What it knows, as a struct of its own that can be encoded."""
        return _copy(self._state)

    def restore(self, state: ThrottleState) -> None:
        """Goes on from a snapshot.

        :raises msgspec.ValidationError: if a value that waits is not of the type.
        """
        state = _copy(state)
        for held in state.keys.values():
            if held.value is not UNSET:
                held.value = msgspec.convert(held.value, self._type, str_keys=True)
        self._state = state

    def _check(self, key: str, value: T) -> None:
        """Sees that a value can be kept: what waits must not make a state that nobody can restore."""
        try:
            msgspec.json.decode(msgspec.json.encode(value), type=self._type)
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise ValueError(f"{self._what}: a value of {key!r} cannot be kept as {self._type!r}: {error}") from error

    def _pass_on(self, key: str, now: float) -> list[Latest[T]]:
        """Lets go on what waits of a key."""
        found = self._take(key)
        self._state.keys[key] = Held(now, found[0].time)
        return found

    def _take(self, key: str) -> list[Latest[T]]:
        """Forgets a key, and gives what waits of it."""
        held = self._state.keys.pop(key)
        return [] if held.value is UNSET else [Latest(key, held.time, held.value)]


def _copy(state: ThrottleState) -> ThrottleState:
    return msgspec.convert(msgspec.to_builtins(state, str_keys=True), ThrottleState, str_keys=True)
