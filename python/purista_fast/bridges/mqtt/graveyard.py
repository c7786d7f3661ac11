"""Dead letters: what nothing here can do anything with, on disk until a person decides."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from ..._core import Message, encode
from ...config import DeadLetterSettings
from ...storage import dead_letters as table
from ...storage import outbox
from ...storage.database import Database, StorageError
from ...storage.dead_letters import DeadLetter
from ...storage.outbox import Row
from ..messages import logger

__all__ = ("Graveyard", "letter_of")


class Graveyard:
    """Writes dead letters, in the transaction that takes the message away from where it was.

    :param tell: told of each, once it is on disk, if ``dead_letters.event`` is set.
    """

    def __init__(
        self, settings: DeadLetterSettings, database: Database, tell: Callable[[DeadLetter, str], None]
    ) -> None:
        self.buried = 0
        self.dropped = 0
        """How many of the oldest had to go."""
        self._kept = 0
        self._limits = (settings.max_messages, settings.max_bytes)
        self._event = settings.event
        self._database = database
        self._tell = tell

    async def start(self) -> None:
        """Counts what there is.

        :raises StorageError: if the disk cannot be read.
        """
        self._kept, _ = await self._database.run(table.count)

    def changed(self) -> None:
        """Another process has changed the table."""

        def done(found: tuple[int, int] | None, error: StorageError | None) -> None:
            if found is None:
                logger.error("the dead letters cannot be counted: %s", error)
            else:
                self._kept = found[0]

        self._database.submit(table.count, done)

    def bury(
        self,
        letter: DeadLetter,
        also: Callable[[sqlite3.Connection], None],
        done: Callable[[StorageError | None], None],
    ) -> None:
        """Adds a dead letter.

        :param also: what else belongs to the transaction.
        :param done: called when it is on disk, or with why it is not.
        """

        def work(db: sqlite3.Connection) -> int:
            also(db)
            return table.insert(db, letter, self._limits)

        def written(dropped: int | None, error: StorageError | None) -> None:
            if error is None:
                self.buried += 1
                self.dropped += dropped or 0
                self._kept += 1 - (dropped or 0)
                logger.error(
                    "dead letter %d: %s %s (event %s) after %d attempts: %s",
                    letter.seq,
                    letter.origin,
                    letter.target or "-",
                    letter.name or "-",
                    letter.attempts,
                    letter.error,
                )
                if dropped:
                    logger.error("the dead letters are full: %d of the oldest were dropped", dropped)
                # A dead letter about dead letters would have no end.
                if self._event is not None and letter.name != self._event:
                    self._tell(letter, self._event)
            done(error)

        self._database.submit(work, written, frees=True)

    def bury_row(self, row: Row, topic: str, reason: str, done: Callable[[], None]) -> None:
        """Makes a dead letter of a row of the outbox."""

        def written(error: StorageError | None) -> None:
            if error is not None:
                logger.error("event %r will not be sent (%s), and is no dead letter: %s", row.name, reason, error)
            else:
                done()

        letter = DeadLetter("outbox", topic, row.name, 1, reason, row.message)
        self.bury(letter, lambda db: outbox.delete(db, [row.seq]), written)

    def statistics(self) -> dict[str, Any]:
        """Counters and depths."""
        return {"messages": self._kept, "buried": self.buried, "dropped": self.dropped}


def letter_of(origin: table.Origin, target: str, message: Message, attempts: int, error: str) -> DeadLetter:
    """A dead letter of a message that has arrived."""
    return DeadLetter(origin, target, message.event_name or "", attempts, error, encode(message))
