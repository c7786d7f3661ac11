"""Taking rows from the outbox that are done: many in one transaction, and again if the disk did not let them go."""

from __future__ import annotations

from collections.abc import Callable

from ...storage import outbox as table
from ...storage.database import Database, StorageError

__all__ = ("Deletions",)


class Deletions:
    """Deletes rows soon.

    :param deleted: told of the rows that are gone.
    :param failed: called when they are still there; :meth:`go_on` tries again.
    """

    def __init__(self, database: Database, deleted: Callable[[list[int]], None], failed: Callable[[], None]) -> None:
        self._database = database
        self._deleted = deleted
        self._failed = failed
        self._waiting: list[int] = []
        self._is_under_way = False

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, numbers: list[int]) -> None:
        """Deletes these rows."""
        self._waiting += numbers
        self.go_on()

    def go_on(self) -> None:
        """Deletes what waits for it, unless that is under way."""
        if self._is_under_way or not self._waiting:
            return
        taken, self._waiting = self._waiting, []
        self._is_under_way = True

        def done(_result: None, error: StorageError | None) -> None:
            self._is_under_way = False
            if error is not None:
                self._waiting = taken + self._waiting
                self._failed()
                return
            self._deleted(taken)
            self.go_on()

        self._database.submit(lambda db: table.delete(db, taken), done, frees=True)
