"""Room for an event by the end of older ones of its name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from ...errors import UnhandledError
from ...storage import outbox as table
from ...storage.database import Database, StorageError
from .backlog import Backlog
from .emission import Event
from .losses import Losses
from .room import Room

__all__ = ("Oldest",)

_ROUNDS = 10
"""How often is looked for something older, where that was not written yet."""


class Oldest:
    """Drops the oldest events of a name, where an event of that name finds no room.

    :param insert: writes the event, once there is room.
    :param confirm: ends it: it was dropped itself, or the disk has failed.
    """

    def __init__(
        self,
        database: Database,
        room: Room,
        losses: Losses,
        backlog: Backlog,
        insert: Callable[[Event], None],
        confirm: Callable[[Event, UnhandledError | None], None],
    ) -> None:
        self._database = database
        self._room = room
        self._losses = losses
        self._backlog = backlog
        self._insert = insert
        self._confirm = confirm
        self._waiting: Counter[str] = Counter()
        """How many events wait until the oldest of their name have gone, by name."""

    def makes_room(self, name: str) -> bool:
        """Whether an event of this name waits for that already."""
        return self._waiting.get(name, 0) > 0

    def drop(self, event: Event, rounds: int = _ROUNDS) -> None:
        """Makes room for an event, and has it written; if there is nothing older, it is dropped itself."""
        row = event.row
        lacking = self._room.lacking(row.size)
        self._waiting[row.name] += 1

        def done(dropped: list[table.Gone] | None, error: StorageError | None) -> None:
            self._waiting[row.name] -= 1
            if error is not None:
                self._confirm(event, error)
                return
            self._backlog.gone(dropped or ())
            if dropped:
                self._losses.drop("full", len(dropped))
            if self._room.has(row.size):
                self._insert(event)
            elif not dropped and rounds and self._backlog.is_waiting(row.name):
                self.drop(event, rounds - 1)  # those that are older were not written yet
            else:
                self._losses.drop("full", 1)
                self._confirm(event, None)

        self._database.submit(lambda db: table.drop_oldest(db, row.name, lacking), done, frees=True)
