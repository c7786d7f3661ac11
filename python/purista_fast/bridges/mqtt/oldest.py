"""Room for an event by the end of older ones of its name."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ...errors import UnhandledError
from ...storage import outbox as table
from ...storage.database import Database, StorageError
from .backlog import Backlog
from .emission import Event
from .losses import Losses
from .room import Room

__all__ = ("Oldest",)


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
        self._waiting: dict[str, deque[Event]] = {}
        """The events that wait until the oldest of their name have gone, by name, in order."""

    def makes_room(self, name: str) -> bool:
        """Whether an event of this name waits for that already."""
        return name in self._waiting

    def drop(self, event: Event) -> None:
        """Makes room for an event, and has it written; if there is nothing older, it is dropped itself."""
        waiting = self._waiting.setdefault(event.row.name, deque())
        waiting.append(event)
        if len(waiting) == 1:
            self._drop(event.row.name)

    def _drop(self, name: str) -> None:
        """Makes room for all that wait; what was submitted before is on disk by then, and older."""
        waiting = self._waiting[name]
        size, count = self._room.lacking(sum(event.row.size for event in waiting), len(waiting))

        def done(dropped: list[table.Gone] | None, error: StorageError | None) -> None:
            if dropped is None:
                del self._waiting[name]
                for event in waiting:
                    self._confirm(event, error)
                return
            self._backlog.gone(dropped)
            if dropped:
                self._losses.drop("full", len(dropped))
            self._go_on(name, any_gone=bool(dropped))

        self._database.submit(lambda db: table.drop_oldest(db, name, size, count), done, frees=True)

    def _go_on(self, name: str, *, any_gone: bool) -> None:
        """Room was made, perhaps: has written what fits, in order."""
        waiting = self._waiting[name]
        while waiting and self._room.has(waiting[0].row.size):
            self._insert(waiting.popleft())
            any_gone = True
        if waiting and not any_gone:
            self._losses.drop("full", 1)
            self._confirm(waiting.popleft(), None)
        if waiting:
            self._drop(name)
        else:
            del self._waiting[name]
