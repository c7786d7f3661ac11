"""When "no matching subscribers" may mean that those who subscribe are not back yet.

A broker that restarts may have forgotten subscriptions: mosquitto 2.0.11 all shared ones, one without persistence all.
Whoever reconnects first would publish for nobody. So for a while after a connection an event that meets no subscriber
is tried again, and those of its name with it; other names go on.
"""

from __future__ import annotations

import time

from .publisher import NOBODY

__all__ = ("Settling",)

_PATIENCE = 35.0
"""How long others may take to come back, in seconds: a little longer than the longest pause between attempts."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 4.0
_NAMES = 10_000
"""How many names are remembered."""


class Settling:
    """Remembers since when events have met no subscriber."""

    def __init__(self) -> None:
        self._connections = 0
        self._up_at = 0.0
        self._alone: dict[str, float] = {}
        """Since when an event of this name has met nobody."""
        self._resting: dict[str, tuple[float, float]] = {}
        """The names that are left alone: until when, and how long the pause was."""

    def connected(self) -> None:
        """There is a new connection."""
        self._connections += 1
        self._up_at = time.monotonic()
        self._resting.clear()

    def rest(self, name: str) -> None:
        """Leaves the events of a name alone for a moment, longer each time."""
        _, pause = self._resting.get(name, (0.0, _FIRST_PAUSE / 2))
        pause = min(pause * 2, _LONGEST_PAUSE)
        self._resting[name] = (time.monotonic() + pause, pause)

    def is_resting(self, name: str) -> bool:
        """Whether the events of a name are left alone now."""
        found = self._resting.get(name)
        return found is not None and time.monotonic() < found[0]

    def has_rested(self) -> bool | None:
        """Whether some name need not be left alone any more; ``None`` if none is, or was since the last success."""
        now = time.monotonic()
        return any(until <= now for until, _ in self._resting.values()) if self._resting else None

    def is_premature(self, name: str, code: int, *, was_kept: bool) -> bool:
        """Whether an event that was answered like this is to be tried again.

        :param was_kept: whether it comes from disk: then an earlier process may have known subscribers.
        """
        if code != NOBODY:
            self._alone.pop(name, None)
            self._resting.pop(name, None)
            return False
        now = time.monotonic()
        # At the first connection what is emitted now may well be nobody's business.
        is_suspicious = was_kept or self._connections > 1
        if not is_suspicious or now - self._up_at >= _PATIENCE:
            return False
        # However often the connection breaks meanwhile, a name waits once, and not for ever.
        if len(self._alone) >= _NAMES:
            self._alone.clear()
        return now - self._alone.setdefault(name, now) < _PATIENCE
