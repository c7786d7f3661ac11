"""A dead band: what has hardly changed is not worth telling."""

from __future__ import annotations

import msgspec
from msgspec import Struct, field

from ..errors import DefinitionError
from .checks import Gate, check_seconds, is_number, seconds_of, value_of

__all__ = ("BandState", "DeadBand")


class Passed(Struct):
    """The last value of a key that passed, and its time in seconds."""

    at: float
    value: float


class BandState(Struct):
    """What a dead band knows; who was heard last is last."""

    keys: dict[str, Passed] = field(default_factory=dict)
    forgotten: int = 0


class DeadBand:
    """Lets a value pass that differs by more than the band from the last of its key that passed; the first one always.

    >>> band = DeadBand(absolute=0.5, max_silence=60.0)
    >>> [band.passes("attic", at, value) for at, value in [(0, 20.0), (1, 20.5), (2, 20.6), (3, 20.4), (62, 20.6)]]
    [True, False, True, False, True]

    :param absolute: the band, in the unit of the values.
    :param percent: the band, in percent of the last value that passed; if both are given the larger one counts, so that
        values near zero have a band as well.
    :param max_silence: after how many seconds of the data a value passes in any case; also if the time went back so
        far. Nothing passes that does not come: who watches for silence does so by a timer.
    :param max_keys: how many keys are known. For one more the key is forgotten that was silent for longest; its next
        value passes.
    :raises DefinitionError: for numbers that cannot work, or if there is no band.
    """

    state_type = BandState

    def __init__(
        self,
        *,
        absolute: float | None = None,
        percent: float | None = None,
        max_silence: float | None = None,
        max_keys: int = 1000,
    ) -> None:
        what = self._what = f"DeadBand(absolute={absolute!r}, percent={percent!r})"
        for band in (absolute, percent):
            if band is not None and not is_number(band, 0, 1e100):
                raise DefinitionError(f"{what}: a band must be a number from 0")
        if absolute is None and percent is None:
            raise DefinitionError(f"{what}: give at least one of them")
        self._absolute, self._percent = absolute or 0.0, percent or 0.0
        self._max_silence = None if max_silence is None else check_seconds(what, "max_silence", max_silence)
        self._gate = Gate(what, max_keys, None)
        self._state = BandState()

    @property
    def forgotten(self) -> int:
        """How many keys were forgotten because there were too many."""
        return self._state.forgotten

    def __len__(self) -> int:
        """How many keys there are."""
        return len(self._state.keys)

    def passes(self, key: str, time: float, value: float) -> bool:
        """Whether a value is worth telling; then the next ones are compared with it.

        :param time: when it was measured, in seconds.
        :raises ValueError: if time or value are no finite numbers, or the key is no text of 1 to 256 characters.
        """
        self._gate.key(key)
        time, value = seconds_of(time, self._what, key), value_of(value, self._what, key)
        keys = self._state.keys
        last = keys.pop(key, None)
        if last is None:
            if len(keys) >= self._gate.max_keys:
                del keys[next(iter(keys))]
                self._state.forgotten += 1
            keys[key] = Passed(time, value)
            return True
        keys[key] = last
        is_silent = self._max_silence is not None and abs(time - last.at) >= self._max_silence
        if not is_silent and abs(value - last.value) <= max(self._absolute, abs(last.value) * self._percent / 100):
            return False
        last.at, last.value = time, value
        return True

    def snapshot(self) -> BandState:
        """What it knows, as a struct of its own that can be encoded."""
        return _copy(self._state)

    def restore(self, state: BandState) -> None:
        """Goes on from a snapshot."""
        self._state = _copy(state)


def _copy(state: BandState) -> BandState:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=BandState)
