"""The end of an instance for good: what still waits for it is handled, then nothing of it stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import msgspec

__all__ = ("Retired", "Retirement")

_LOOK = 0.1
"""How often is looked whether something has come, in seconds at most."""


class Retired(msgspec.Struct, kw_only=True):
    """How an instance ended."""

    instance_id: str
    handled: int = 0
    """How many messages that waited for it were handled."""
    is_ended: bool = False
    """Whether the broker's session has ended; if not, the time was over before it was empty, and it is kept."""
    outbox: int = 0
    """How many messages are left that the broker has not taken."""
    retries: int = 0
    """How many messages are left that wait for another attempt of their handler."""
    dead_letters: int = 0
    """How many dead letters are left."""
    kept: str | None = None
    """The folder of its state, where something is left; ``None`` if that was removed."""

    @property
    def is_done(self) -> bool:
        """Whether nothing of the instance is left."""
        return self.is_ended and self.kept is None


class Retirement:
    """Waits until nothing is left to do for an instance that takes nothing new.

    :param statistics: the counters of the bridge.
    """

    def __init__(self, instance_id: str, statistics: Callable[[], dict[str, Any]]) -> None:
        self.outcome = Retired(instance_id=instance_id)
        self._statistics = statistics

    async def run(self, quiet: float, timeout: float) -> Retired:
        """Waits until the session and the stores on disk are empty.

        :param quiet: after how many seconds without a message the session counts as empty.
        :param timeout: how long all of it may take, in seconds.
        """
        with anyio.move_on_after(timeout):
            await self.session_is_quiet(quiet)
            self.outcome.is_ended = True
            await self.stores_are_empty(quiet)
        now, outcome = self._statistics(), self.outcome
        outcome.handled = _handled(now)
        outcome.outbox, outcome.retries, outcome.dead_letters = _outbox(now), _count(now, "retries"), _letters(now)
        return outcome

    async def session_is_quiet(self, quiet: float) -> None:
        """Waits until all that came is acknowledged, and nothing has come for ``quiet`` seconds of a connection."""
        seen, since = self._seen(), anyio.current_time()
        while anyio.current_time() - since < quiet:
            await anyio.sleep(min(quiet / 4, _LOOK))
            now = self._seen()
            if now != seen or self._is_busy():
                seen, since = now, anyio.current_time()

    async def stores_are_empty(self, quiet: float) -> None:
        """Waits until the outbox is sent and no message waits for another attempt; both work on by themselves."""
        while _outbox(self._statistics()) or _count(self._statistics(), "retries"):  # noqa: ASYNC110 - no event tells
            await anyio.sleep(min(quiet / 4, _LOOK))

    def _seen(self) -> tuple[Any, ...]:
        """What changes with each message."""
        now = self._statistics()
        return (
            now["reconnects"],
            _handled(now),
            now.get("unknown_subscription"),
            now.get("repeated_events"),
            sum(now["rejected"].values()),
        )

    def _is_busy(self) -> bool:
        now = self._statistics()
        under_way = sum(counts["waiting"] + counts["running"] for counts in now["subscriptions"].values())
        return not now["connected"] or bool(now.get("unacknowledged") or under_way)


def _handled(statistics: dict[str, Any]) -> int:
    return sum(counts["handled"] for counts in statistics["subscriptions"].values())


def _outbox(statistics: dict[str, Any]) -> int:
    """What the broker has not taken; what is only held, in case that it forgets, does not count."""
    outbox = statistics.get("outbox", {})
    return max(0, int(outbox.get("messages", 0)) - int(outbox.get("held", 0)))


def _count(statistics: dict[str, Any], name: str) -> int:
    return int(statistics.get(name, {}).get("messages", 0))


def _letters(statistics: dict[str, Any]) -> int:
    return _count(statistics, "dead_letters")
