"""Which rows of the outbox have their turn, and which are passed over for now."""

from __future__ import annotations

from collections.abc import Mapping

from ...storage.outbox import Row
from .away import Urgency
from .settling import Settling

__all__ = ("NOTHING", "Turns")

NOTHING = 1 << 62
"""Above every number of a row."""
_LEAST = -NOTHING
"""Below every priority."""


class Turns:
    """Remembers what was passed over: rows whose name is left alone for a moment, or less urgent than others that wait.

    :param urgency: says which goes first; without it all are equal.
    :param settling: knows the names that are left alone.
    """

    def __init__(self, urgency: Urgency | None, settling: Settling) -> None:
        self.lowest = NOTHING
        """The lowest number of a row that was passed over."""
        self._names: set[str] = set()
        """The names of these: what comes later of them is passed over as well."""
        self._urgency = urgency
        self._settling = settling
        self._level = _LEAST
        self._cap: int | None = None
        """Above it nothing was found, whatever the counts say; until something new comes."""

    @property
    def any_passed(self) -> bool:
        """Whether something was passed over."""
        return self.lowest < NOTHING

    def passes_over(self, row: Row) -> bool:
        """Whether others have their turn before a row; then it is remembered."""
        is_passed = row.name in self._names or self._settling.is_resting(row.name) or self._is_minor(row)
        if is_passed:
            self.lowest = min(self.lowest, row.seq)
            self._names.add(row.name)
        return is_passed

    def look_from(self, after: int) -> None:
        """All rows above this number are looked at again."""
        if after < self.lowest:
            self.lowest = NOTHING
            self._names.clear()

    def has_rested(self, is_all_looked_at: bool) -> bool:
        """Whether what was passed over may have its turn, by time."""
        # Whoever looks for the most urgent is not sent back to the start meanwhile.
        may_look = self._urgency is None or is_all_looked_at
        return self.any_passed and may_look and self._settling.has_rested() is not False

    def renew(self) -> None:
        """Something new has come, or what was sent waits again."""
        self._cap = None

    def is_less_urgent(self, waiting: Mapping[str, int], expected: Mapping[str, int]) -> bool:
        """Decides what is urgent enough now: whether something that was passed over for it has its turn.

        :param waiting: how many rows wait, by name.
        :param expected: how many of these are not written yet.
        """
        if self._urgency is None:
            return False
        before, self._level = self._level, self._highest(self._urgency, waiting, expected)
        return self._level < before and self.any_passed

    def descend(self, waiting: Mapping[str, int], expected: Mapping[str, int]) -> bool:
        """All was looked at, so nothing as urgent is there; whether something less urgent is, that was passed over."""
        if self._urgency is None or not self.any_passed:
            return False
        self._cap = self._level - 1
        return self._highest(self._urgency, waiting, expected) > _LEAST

    def _is_minor(self, row: Row) -> bool:
        # What keeps no order is not counted among what waits, and waits for nothing.
        return self._urgency is not None and row.ordered and self._urgency.priority(row.name) < self._level

    def _highest(self, urgency: Urgency, waiting: Mapping[str, int], expected: Mapping[str, int]) -> int:
        """The priority of the most urgent that waits, up to the cap."""
        found = _LEAST
        for name, count in waiting.items():
            if count > expected.get(name, 0) and not self._settling.is_resting(name):
                priority = urgency.priority(name)
                if self._cap is None or priority <= self._cap:
                    found = max(found, priority)
        return found
