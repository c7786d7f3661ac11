"""The one judge of all fault cases: what was confirmed must have been handled, and nothing else may have been.

It knows only the records (:mod:`tests.faults.records`), nothing of the bridge.
"""

from __future__ import annotations

import time
from bisect import bisect
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.patience import patient

from . import records
from .records import Key, Record, Tail

__all__ = ("Oracle", "Verdict")

Window = tuple[float, float]
"""From and to, in seconds since 1970: what was confirmed in between may be lost, as the documentation says."""


@dataclass(slots=True)
class Verdict:
    """What the records say."""

    attempted: int = 0
    confirmed: int = 0
    failed: int = 0
    handled: int = 0
    lost: list[tuple[str, Key]] = field(default_factory=list)
    """Confirmed, and not handled by a group that was to."""
    in_window: int = 0
    """Confirmed, not handled, and within the window that the documentation states."""
    forged: list[Record] = field(default_factory=list)
    """Handled, and never attempted."""
    altered: list[Record] = field(default_factory=list)
    """Handled with another payload than the attempted one."""
    reordered: list[tuple[str, Key, Key]] = field(default_factory=list)
    """Consumer, a message, and the later one whose first delivery came before it."""
    duplicates: int = 0
    """Deliveries that were handled already by the same group."""
    fresh: bool = False
    """An event that was confirmed after the last fault was handled."""
    recovery: float = 0.0
    """The longest time from the end of a fault until its backlog was handled, in seconds."""

    def problems(self) -> list[str]:
        """What breaks a promise, in words."""
        found = []
        for name, things in [
            ("lost", self.lost),
            ("forged", self.forged),
            ("altered", self.altered),
            ("reordered", self.reordered),
        ]:
            if things:
                shown = ", ".join(map(str, things[:5]))
                found.append(f"{len(things)} {name} of {self.confirmed} confirmed: {shown}")
        if not self.fresh:
            found.append("no event passed after the last fault")
        return found

    def check(self) -> Verdict:
        """Itself.

        :raises AssertionError: if a promise was broken.
        """
        problems = self.problems()
        assert not problems, "; ".join(problems)
        return self


class Oracle:
    """Reads the records of one case.

    :param groups: names of consumers, one collection for each subscription: within one, any may handle a message; each
        must get all. ``None``: all consumers are one group.
    :param ordered: whether first deliveries must be in order, for each emitter, event name and consumer; a callable
        decides by event name.
    """

    def __init__(
        self,
        folder: Path,
        *,
        groups: Sequence[Collection[str]] | None = None,
        ordered: bool | Callable[[str], bool] = True,
    ) -> None:
        self._tail = Tail(folder)
        self._groups = None if groups is None else [frozenset(group) for group in groups]
        self._ordered = ordered if callable(ordered) else lambda _name: bool(ordered)
        self._attempted: dict[Key, Record] = {}
        self._confirmed: dict[Key, Record] = {}
        self._failed: set[Key] = set()
        self._started: list[Record] = []
        self._handled: list[Record] = []
        self._who: dict[Key, set[str]] = defaultdict(set)
        self._marks: list[Record] = []
        self._newest = time.monotonic()

    def read(self) -> None:
        """Takes in what was written since."""
        for record in self._tail:
            if record.kind == records.ATTEMPTED:
                self._attempted[record.key] = record
            elif record.kind == records.CONFIRMED:
                self._confirmed[record.key] = record
            elif record.kind == records.FAILED:
                self._failed.add(record.key)
            elif record.kind == records.STARTED:
                self._started.append(record)
            elif record.kind == records.HANDLED:
                self._handled.append(record)
                self._who[record.key].add(record.who)
            elif record.kind == records.MARK:
                self._marks.append(record)
            else:
                raise ValueError(f"an unknown kind of record: {record}")
            self._newest = max(self._newest, record.at)

    @property
    def last_number(self) -> int:
        """The highest number that any emitter attempted; -1 for none."""
        self.read()
        return max((number for _, _, number in self._attempted), default=-1)

    @property
    def confirmed(self) -> int:
        """How many are confirmed by now."""
        self.read()
        return len(self._confirmed)

    @property
    def handled(self) -> int:
        """How many different messages were handled by now."""
        self.read()
        return len(self._who)

    def confirmed_of(self, event: str) -> int:
        """How many of this name are confirmed by now."""
        self.read()
        return sum(key[1] == event for key in self._confirmed)

    def handled_of(self, event: str) -> int:
        """How many different ones of this name were handled by now."""
        self.read()
        return sum(key[1] == event for key in self._who)

    def attempts(self, key: Key) -> int:
        """How often a handler was begun with a message."""
        self.read()
        return sum(record.key == key for record in self._started)

    def all_confirmed(self) -> set[Key]:
        """All confirmed messages."""
        self.read()
        return set(self._confirmed)

    def latencies(self, event: str) -> list[float]:
        """Seconds from the attempt to the first handling, of all handled events of this name."""
        self.read()
        first: dict[Key, float] = {}
        for record in self._handled:
            if record.event == event:
                first.setdefault(record.key, record.at - self._attempted[record.key].at)
        return sorted(first.values())

    def wait(self, *, windows: Iterable[Window] = (), excused: Collection[Key] = (), patience: float = 60.0) -> Verdict:
        """Waits until nothing is missing any more, at most ``patience`` seconds after the last record of any kind."""
        windows = list(windows)
        missing = 1
        while missing:
            self.read()
            missing = len(self._missing(windows, excused)[0])
            if missing and time.monotonic() - self._newest > patient(patience):
                break
            if missing:
                time.sleep(0.05)
        return self.judge(windows=windows, excused=excused)

    def settle(self, *, quiet: float, patience: float = 120.0) -> None:
        """Waits until nobody has written anything for ``quiet`` seconds."""
        end = time.monotonic() + patient(patience)
        self.read()
        while time.monotonic() - self._newest < quiet and time.monotonic() < end:
            time.sleep(0.05)
            self.read()

    def judge(self, *, windows: Iterable[Window] = (), excused: Collection[Key] = ()) -> Verdict:
        """The verdict on what is written by now.

        :param excused: messages that need not be handled: dead letters, or dropped as configured.
        """
        self.read()
        lost, in_window = self._missing(list(windows), excused)
        verdict = Verdict(
            attempted=len(self._attempted),
            confirmed=len(self._confirmed),
            failed=len(self._failed),
            handled=len(self._who),
            lost=lost,
            in_window=in_window,
            reordered=self._reordered(),
            duplicates=self._duplicates(),
            recovery=self._recovery(),
        )
        for record in [*self._started, *self._handled]:
            known = self._attempted.get(record.key)
            if known is None:
                verdict.forged.append(record)
            elif known.hash != record.hash:
                verdict.altered.append(record)
        healed = max((mark.at for mark in self._marks), default=0.0)
        verdict.fresh = any(record.at > healed and key in self._who for key, record in self._confirmed.items())
        return verdict

    def _all_groups(self) -> list[frozenset[str]]:
        if self._groups is not None:
            return self._groups
        return [frozenset(record.who for record in self._handled)]

    def _missing(self, windows: list[Window], excused: Collection[Key]) -> tuple[list[tuple[str, Key]], int]:
        lost, in_window = [], 0
        excused = set(excused)
        for group in self._all_groups():
            for key, record in self._confirmed.items():
                if key in excused or self._who.get(key, frozenset()) & group:
                    continue
                if any(start <= record.wall <= end for start, end in windows):
                    in_window += 1
                else:
                    lost.append(("+".join(sorted(group)), key))
        return lost, in_window

    def _reordered(self) -> list[tuple[str, Key, Key]]:
        """The first time that each consumer began with a message, against the order of the emits."""
        found = []
        highest: dict[tuple[str, str, str], Key] = {}
        seen: set[tuple[str, Key]] = set()
        for record in sorted(self._started, key=lambda record: record.at):
            if not self._ordered(record.event) or (record.who, record.key) in seen:
                continue
            seen.add((record.who, record.key))
            lane = (record.who, record.emitter, record.event)
            last = highest.get(lane)
            if last is not None and record.number < last[2]:
                found.append((record.who, record.key, last))
            else:
                highest[lane] = record.key
        return found

    def _duplicates(self) -> int:
        seen: set[tuple[frozenset[str], Key]] = set()
        count, groups = 0, self._all_groups()
        for record in self._handled:
            for group in groups:
                if record.who in group:
                    count += (group, record.key) in seen
                    seen.add((group, record.key))
        return count

    def _recovery(self) -> float:
        first: dict[Key, float] = {}
        for record in self._handled:
            first.setdefault(record.key, record.at)
        spans = [(self._confirmed[key].at, at) for key, at in first.items() if key in self._confirmed]
        ends = sorted(mark.at for mark in self._marks if mark.note == "healed")
        worst = 0.0
        for since, at in spans:
            # The last end before it: what the next fault interrupted is that one's to recover.
            last = bisect(ends, at) - 1
            if last >= 0 and since < ends[last]:
                worst = max(worst, at - ends[last])
        return worst
