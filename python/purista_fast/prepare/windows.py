"""Windows over the time of the data: what the values of each key were like, from then to then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import floor

import msgspec
from msgspec import Struct, field

from ..errors import DefinitionError
from .checks import Gate, LeftOut, check_bound, check_seconds, is_number, seconds_of, value_of
from .figures import Figures, joined, percentiles

__all__ = ("Closed", "Sliding", "Tumbling", "WindowsState")

_MOST_PARTS = 1000


class Closed(Struct, frozen=True):
    """A window that has closed: the values of a key with ``start <= time < end``. There was at least one."""

    key: str
    start: float
    end: float
    count: int
    mean: float
    min: float
    max: float
    last: float
    """The value with the latest time; of several the one that came last."""
    deviation: float
    """The standard deviation of these values (of all of them, not of a sample)."""
    percentiles: tuple[float, ...] | None
    """Those asked for, in that order, exactly; ``None`` if there were more than ``max_values``."""


class Track(Struct):
    """What is known of a key."""

    latest: float
    """The latest time of a value."""
    done: int
    """All windows have closed that end with the part before this one, or earlier."""
    parts: dict[int, Figures] = field(default_factory=dict)


class WindowsState(Struct):
    """What windows know."""

    length: float
    step: float
    done: int | None = None
    """As that of a track, for all keys."""
    now: float | None = None
    tracks: dict[str, Track] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)


class Sliding:
    """Windows of ``length`` seconds, a new one every ``step`` seconds: each value is in several.

    Windows begin at whole multiples of ``step``. A window closes when its key has had a value ``lateness`` seconds past
    its end, or :meth:`advance` was told of such a moment. A value is late if the ``step`` seconds that it is in are
    over in this sense: it is in no window then, counted, and handed to ``left_out``. Each key has a time of its own: a
    clock that runs ahead closes no windows of others.

    >>> windows = Sliding(10.0, step=5.0)
    >>> windows.add("attic", 6.0, 20.0), windows.add("attic", 9.0, 22.0)
    ([], [])
    >>> [(closed.start, closed.end, closed.mean) for closed in windows.add("attic", 10.0, 24.0)]
    [(0.0, 10.0, 21.0)]
    >>> [(closed.start, closed.end, closed.mean) for closed in windows.advance(20.0)]
    [(5.0, 15.0, 22.0), (10.0, 20.0, 24.0)]

    :param length: in seconds; a whole multiple of ``step``, at most 1,000 times as long.
    :param step: in seconds.
    :param lateness: how much later than a later one a value may come, in seconds of the data.
    :param percentiles: which ones are wanted, 0 to 100. The values of a window are kept for them.
    :param max_keys: how many keys there may be. A value of one more is left out. :meth:`advance` forgets keys of which
        no window is open.
    :param max_values: how many values are kept of each window and of each part of ``step`` seconds. A window that had
        more has no percentiles.
    :param max_ahead: how far a value's time may be past the last :meth:`advance`, in seconds, if there was one; a value
        of later has a clock that is not believed, and is left out.
    :param left_out: told of each value that is left out, as a :class:`LeftOut`; without it a warning is logged for the
        first, second, fourth, eighth…
    :raises DefinitionError: for numbers that cannot work.
    """

    state_type = WindowsState

    def __init__(
        self,
        length: float,
        step: float,
        *,
        lateness: float = 0.0,
        percentiles: Sequence[float] = (),
        max_keys: int = 1000,
        max_values: int = 10_000,
        max_ahead: float | None = None,
        left_out: Callable[[LeftOut], object] | None = None,
    ) -> None:
        what = self._what = f"{type(self).__name__}({length!r})"
        step = check_seconds(what, "step", step, least=0.001)
        length = check_seconds(what, "length", length, least=0.001)
        self._parts = round(length / step)
        if not 1 <= self._parts <= _MOST_PARTS or abs(self._parts * step - length) > 1e-9 * length:
            raise DefinitionError(
                f"{what}: the length must be 1 to {_MOST_PARTS} times the step, not {length / step:g} times {step!r}"
            )
        if not all(is_number(percent, 0, 100) for percent in percentiles):
            raise DefinitionError(f"{what}: percentiles must be numbers from 0 to 100, not {percentiles!r}")
        check_bound(what, "max_values", max_values)
        self._step = step
        self._lateness = check_seconds(what, "lateness", lateness)
        self._percents = tuple(percentiles)
        self._max_values = max_values
        self._max_ahead = None if max_ahead is None else check_seconds(what, "max_ahead", max_ahead)
        self._gate = Gate(what, max_keys, left_out)
        self._state = WindowsState(length, step, left_out=self._gate.counts)

    @property
    def left_out(self) -> dict[str, int]:
        """How many values were left out, by reason."""
        return dict(self._gate.counts)

    def __len__(self) -> int:
        """How many keys there are."""
        return len(self._state.tracks)

    def add(self, key: str, time: float, value: float) -> list[Closed]:
        """Takes a value in; gives the windows of its key that have closed by it, in order.

        :param time: when it was measured, in seconds.
        :raises ValueError: if time or value are no finite numbers, or the key is no text of 1 to 256 characters.
        """
        self._gate.key(key)
        time, value = seconds_of(time, self._what, key), value_of(value, self._what, key)
        state, part = self._state, self._part(time)
        if self._max_ahead is not None and state.now is not None and time > state.now + self._max_ahead:
            self._gate.leave_out("early", key, time, value)
            return []
        track = state.tracks.get(key)
        done = state.done if track is None else track.done
        if done is not None and part < done:
            self._gate.leave_out("late", key, time, value)
            return []
        if track is None:
            if len(state.tracks) >= self._gate.max_keys:
                self._gate.leave_out("keys", key, time, value)
                return []
            own = self._part(time - self._lateness)
            track = state.tracks[key] = Track(time, own if done is None else max(own, done))
        figures = track.parts.get(part)
        if figures is None:
            track.parts[part] = Figures.of(time, value, keeps=bool(self._percents))
        else:
            figures.add(time, value, self._max_values)
        if time <= track.latest:
            return []
        track.latest = time
        return self._close(key, track, self._part(time - self._lateness))

    def advance(self, now: float) -> list[Closed]:
        """It is ``now``, in seconds, for all keys: gives the windows that have closed by it, in order of their ends.

        A moment before that of an earlier call closes nothing; what has closed stays closed.

        :raises ValueError: if ``now`` is no finite number.
        """
        state = self._state
        state.now = seconds_of(now, self._what)
        done = self._part(state.now - self._lateness)
        state.done = done = done if state.done is None else max(done, state.done)
        closed: list[Closed] = []
        for key, track in list(state.tracks.items()):
            closed += self._close(key, track, done)
            if not track.parts:  # the part of its latest value is over by this moment: all keys know what it knew
                del state.tracks[key]
        closed.sort(key=lambda window: window.end)
        return closed

    def flush(self, key: str | None = None) -> list[Closed]:
        """Closes what is open, in order of the ends, and forgets the key, or all of them and what :meth:`advance` said:
        for the end, and for a clock that was set back.

        What comes afterwards for such a window begins it anew.
        """
        if key is None:
            self._state.done = self._state.now = None
        tracks, closed = self._state.tracks, list[Closed]()
        for name in list(tracks) if key is None else [key] if key in tracks else []:
            track = tracks.pop(name)
            if track.parts:
                closed += self._close(name, track, max(track.parts) + self._parts)
        closed.sort(key=lambda window: window.end)
        return closed

    def snapshot(self) -> WindowsState:
        """What they know, as a struct of its own that can be encoded."""
        return _copy(self._state)

    def restore(self, state: WindowsState) -> None:
        """Goes on from a snapshot.

        :raises ValueError: if it is one of windows of another length or step.
        """
        if (state.length, state.step) != (self._state.length, self._state.step):
            raise ValueError(
                f"{self._what}: the state is that of windows of {state.length:g} s every {state.step:g} s, not of "
                f"{self._state.length:g} s every {self._state.step:g} s: remove it, or give it another name"
            )
        self._state = _copy(state)
        self._gate.counts = self._state.left_out

    def _part(self, time: float) -> int:
        """The number of the step that a moment is in; exactly, so that ``number * step`` is not after it."""
        number = floor(time / self._step)
        if number * self._step > time:
            return number - 1
        return number + 1 if (number + 1) * self._step <= time else number

    def _close(self, key: str, track: Track, done: int) -> list[Closed]:
        """Closes the windows of a key that end with ``done`` or before it."""
        if done <= track.done:
            return []
        ends: set[int] = set()
        for part in track.parts:
            ends.update(range(max(part, track.done) + 1, min(part + self._parts, done) + 1))
        closed = [self._closed(key, track, end) for end in sorted(ends)]
        track.done = done
        track.parts = {part: found for part, found in track.parts.items() if part + self._parts > done}
        return closed

    def _closed(self, key: str, track: Track, end: int) -> Closed:
        parts = [track.parts[part] for part in range(end - self._parts, end) if part in track.parts]
        found = parts[0] if len(parts) == 1 else joined(parts, self._max_values)
        is_whole = len(found.values) == found.count
        return Closed(
            key,
            (end - self._parts) * self._step,
            end * self._step,
            found.count,
            min(max(found.mean, found.min), found.max),
            found.min,
            found.max,
            found.last,
            found.deviation,
            percentiles(found.values, self._percents) if is_whole else None if self._percents else (),
        )


class Tumbling(Sliding):
    """Windows of ``length`` seconds, one after the other: each value is in one. All else is as of :class:`Sliding`.

    >>> windows = Tumbling(60.0, percentiles=(50, 95), lateness=5.0)
    >>> for second in range(65):
    ...     closed = windows.add("attic", float(second), 20.0 + second % 2)
    >>> closed
    []
    >>> closed, = windows.add("attic", 65.0, 21.0)
    >>> closed.key, closed.start, closed.end, closed.count, closed.mean, closed.deviation, closed.percentiles
    ('attic', 0.0, 60.0, 60, 20.5, 0.5, (20.5, 21.0))
    >>> windows.add("attic", 59.0, 20.0), windows.left_out
    ([], {'late': 1})
    """

    def __init__(
        self,
        length: float,
        *,
        lateness: float = 0.0,
        percentiles: Sequence[float] = (),
        max_keys: int = 1000,
        max_values: int = 10_000,
        max_ahead: float | None = None,
        left_out: Callable[[LeftOut], object] | None = None,
    ) -> None:
        super().__init__(
            length,
            length,
            lateness=lateness,
            percentiles=percentiles,
            max_keys=max_keys,
            max_values=max_values,
            max_ahead=max_ahead,
            left_out=left_out,
        )


def _copy(state: WindowsState) -> WindowsState:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=WindowsState)
