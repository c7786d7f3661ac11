"""What the outbox does not keep: counted for ever, by reason, and logged."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ...storage import outbox as table
from ...storage.clock import Moment
from ...storage.database import Database, StorageError
from .away import Urgency
from .expiry import whole_seconds
from .room import Room

if TYPE_CHECKING:
    from .backlog import Backlog

__all__ = ("SWEEP", "Losses")

logger = logging.getLogger("purista_fast.bridge")
SWEEP = 30.0
"""How often what is too old is looked for, in seconds."""
_LOG = 10.0
"""How often drops of one reason are logged, in seconds."""


class Losses:
    """Counts drops, and drops what is too old.

    :param max_age: how long an event may wait, in seconds.
    :param urgency: how long those of a name may, if that is less.
    """

    def __init__(self, database: Database, room: Room, max_age: float, urgency: Urgency | None = None) -> None:
        self.drops: Counter[str] = Counter()
        """How many events were dropped, by reason."""
        self.oldest: Moment | None = None
        """When the oldest event on disk was emitted, as of the last look."""
        self._database = database
        self._room = room
        self._max_age = max_age
        self._urgency = urgency
        self._logged: dict[str, float] = {}
        self._swept = float("-inf")

    def recall(self, drops: Mapping[str, int]) -> None:
        """Goes on counting where an earlier process stopped."""
        self.drops.update(drops)

    def is_too_old(self, since: Moment, name: str) -> bool:
        """Whether an event of that moment is not sent any more."""
        return self._database.clock.age(since) >= self._age_of(name)

    def longest_expiry(self, name: str) -> int:
        """How long the broker may keep an event that is emitted now, in seconds."""
        return whole_seconds(self._age_of(name))

    def expiry(self, since: Moment, name: str | None) -> Callable[[], int]:
        """How long the broker may keep an event, in seconds: what its age has left of that."""
        clock, longest = self._database.clock, self._age_of(name)
        return lambda: whole_seconds(longest - clock.age(since))

    def oldest_age(self, backlog: Backlog) -> float | None:
        """How old the oldest event on disk is, in seconds; about, and ``None`` if there is none."""
        oldest = backlog.oldest or self.oldest
        return self._database.clock.age(oldest) if oldest is not None and self._room.messages else None

    def drop(self, reason: str, count: int) -> None:
        """Counts and logs events that will not be sent."""
        self.drops[reason] += count
        now = time.monotonic()
        if now - self._logged.get(reason, float("-inf")) > _LOG:
            self._logged[reason] = now
            logger.error("the outbox has dropped events (%s); %d in all: %s", reason, self.drops[reason], self._room)
        self._database.submit(lambda db: table.count_drops(db, reason, count), self._counted, frees=True)

    def sweep(self, backlog: Backlog) -> None:
        """Deletes what is too old, and writes how long the device has been powered; now and then."""
        now = time.monotonic()
        if not self._room.messages or now - self._swept < SWEEP:
            return
        self._swept = now
        self._database.keep_time()
        moment, sent = self._database.clock.now(), backlog.sent

        def work(db: sqlite3.Connection) -> tuple[list[table.Gone], Moment | None]:
            expired = table.expire(db, moment, self._max_age, sent)
            for name in table.names(db) if self._urgency else ():
                if (age := self._age_of(name)) < self._max_age:
                    expired += table.expire(db, moment, age, sent, name)
            return expired, table.oldest(db)

        def done(found: tuple[list[table.Gone], Moment | None] | None, error: StorageError | None) -> None:
            if found is None:
                logger.error("the outbox cannot be swept: %s", error)
                return
            expired, self.oldest = found
            if expired:
                backlog.gone(expired)
                self.drop("too old", len(expired))

        self._database.submit(work, done, frees=True)

    def _age_of(self, name: str | None) -> float:
        own = self._urgency.max_age(name) if self._urgency is not None and name is not None else None
        return self._max_age if own is None else min(own, self._max_age)

    def _counted(self, _result: None, error: StorageError | None) -> None:
        if error is not None:
            logger.error("the count of what the outbox has dropped is not on disk: %s", error)
