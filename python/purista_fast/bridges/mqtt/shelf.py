"""Writing messages to the spool's table: in order, as room and disk allow; until then the broker keeps them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import anyio

from ...config import RetrySettings
from ...storage import spool as table
from ...storage.database import Database, StorageError
from ...storage.spool import Entry
from ..messages import logger
from .lanes import Item
from .room import Room

__all__ = ("Shelf",)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0


class Shelf:
    """What waits for the disk, and how much is there.

    :param written: told of each item that is on disk.
    :param stirred: called when :attr:`try_at` has changed.
    """

    def __init__(
        self,
        settings: RetrySettings,
        database: Database,
        written: Callable[[Item, Entry], None],
        stirred: Callable[[], None],
    ) -> None:
        self.room = Room(settings.max_messages, settings.max_bytes)
        self.waiting: deque[tuple[Item, Entry]] = deque()
        """What is to be written."""
        self.try_at = 0.0
        """When the next attempt is due, by the monotonic clock in seconds."""
        self._database = database
        self._written = written
        self._stirred = stirred
        self._is_writing = False
        self._pause = _FIRST_PAUSE

    def put(self, item: Item, entry: Entry) -> None:
        """Writes an item to disk."""
        item.storing = anyio.Event()
        self.waiting.append((item, entry))
        self.write()

    def give(self, size: int) -> None:
        """Something of this size is on disk no more."""
        self.room.give(size)
        if self.waiting:
            self.try_at = 0.0
            self.write()

    async def settle(self, item: Item) -> int:
        """An item's number on disk, 0 if it is not there and will not be; waits while it is being written."""
        while item.storing is not None:
            for index, (waiting, _) in enumerate(self.waiting):
                if waiting is item:
                    del self.waiting[index]
                    item.storing = None
                    return 0
            await item.storing.wait()
        return item.seq

    def write(self) -> None:
        """Writes what there is room for, unless that is under way, or it was in vain a moment ago."""
        if self._is_writing or time.monotonic() < self.try_at:
            return
        batch: list[tuple[Item, Entry]] = []
        while self.waiting and self.room.has(self.waiting[0][1].size):
            batch.append(self.waiting.popleft())
            self.room.take(batch[-1][1].size)
        if not batch:
            if self.waiting:
                logger.warning("the spool is full (retries.max_messages, retries.max_bytes): the broker holds the rest")
                self._rest()
            return
        self._is_writing = True

        def done(_result: None, error: StorageError | None) -> None:
            self._is_writing = False
            if error is not None:
                self._put_back(batch, error)
                return
            self._pause = _FIRST_PAUSE
            for item, entry in batch:
                self.room.keep(entry.size)
                item.seq, item.size = entry.seq, entry.size
                if item.storing is not None:
                    item.storing.set()
                    item.storing = None
                self._written(item, entry)
            self.write()

        self._database.submit(lambda db: table.insert(db, [entry for _, entry in batch]), done)

    def _put_back(self, batch: list[tuple[Item, Entry]], error: StorageError) -> None:
        for item, entry in batch:
            self.room.leave(entry.size)
            # Whoever waits for it looks again: it can be taken back now.
            waits, item.storing = item.storing, anyio.Event()
            if waits is not None:
                waits.set()
        self.waiting.extendleft(reversed(batch))
        logger.error("%d messages stay with the broker: %s", len(self.waiting), error)
        self._rest()

    def _rest(self) -> None:
        self.try_at = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        self._stirred()
