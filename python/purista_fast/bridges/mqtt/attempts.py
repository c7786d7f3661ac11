"""Handling a message: once, or as often as its subscription's retry says, and what becomes of it in the end."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import anyio

from ..._core import Message, encode
from ...errors import ServiceError
from ...storage import seen
from ...storage import spool as table
from ...storage.database import Database, StorageError
from ...storage.dead_letters import DeadLetter
from ...storage.spool import Entry
from ..base import Consumer
from ..messages import logger
from .graveyard import Graveyard, letter_of
from .lanes import Item, Lane

if TYPE_CHECKING:
    from .spool import Spool

__all__ = ("Attempts", "Report")

Report = Callable[[Consumer, Message, Exception, str], None]
"""Told of each failure of a subscription, and what comes of it."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0


class Attempts:
    """Runs handlers, counts their attempts, and decides what follows."""

    def __init__(self, spool: Spool, database: Database, graveyard: Graveyard) -> None:
        self.retried = 0
        """How many attempts have failed that were not the last."""
        self.spool = spool
        self.database = database
        self._graveyard = graveyard
        self._stopping = anyio.Event()

    def leave(self) -> None:
        """Handles nothing more that would have to be tried again in place."""
        self._stopping.set()

    async def run(self, consumer: Consumer, item: Item, report: Report) -> None:
        """Has a subscription handle an item.

        :param report: told of each failure, and what comes of it.
        """
        lane = item.lane
        if item.is_parked or lane.is_left:
            return
        if lane.is_duplicate(item):
            lane.duplicates += 1
            await self.drop(item)
            return
        if item.due and item.due > self.spool.now() and not await self.wait(lane, item.due - self.spool.now()):
            return
        item.is_running = True
        retry = consumer.retry
        while True:
            await self._count(item)
            try:
                await consumer.handle(item.message)
            except Exception as error:  # noqa: BLE001 - whatever a handler raises is reported
                lane.errors += 1
                is_last = item.attempts >= retry.attempts or (isinstance(error, ServiceError) and error.is_final)
                pause = retry.pause(item.attempts)
                count = f"attempt {item.attempts} of {retry.attempts}"
                fate = f" ({count}), a dead letter now" if is_last else f" ({count}), tried again in {pause:.1f} s"
                report(consumer, item.message, error, fate)
                text = f"{type(error).__name__}: {error}"
                if is_last:
                    await self.bury(item, text)
                    return
                self.retried += 1
                if not retry.block:
                    await self.try_later(item, pause, text)
                    return
                await self.note(item, pause, text)
                if not await self.wait(lane, pause):
                    return
            else:
                await self._end(item)
                return

    async def _count(self, item: Item) -> None:
        """Counts an attempt before it begins; on disk, where the item is on disk."""
        item.attempts += 1
        if not item.seq:
            return
        try:
            await self.database.run(lambda db: table.begin(db, item.seq), frees=True)
        except StorageError as error:
            # It is handled nevertheless: that is worth more than the count.
            logger.error("%s: an attempt could not be counted: %s", item.lane.label, error)

    async def wait(self, lane: Lane, seconds: float) -> bool:
        """Holds up a subscription; False if the application stops."""
        with anyio.move_on_after(seconds):
            await self._stopping.wait()
            lane.is_left = True
        return not lane.is_left

    async def _end(self, item: Item) -> None:
        """It has been handled."""
        lane, key = item.lane, item.key
        if lane.seen is None or key in lane.seen:
            await self.drop(item)
            return
        seq = await self.spool.shelf.settle(item)
        lane.items.pop(item, None)
        lane.remember(key)

        def work(db: sqlite3.Connection) -> None:
            seen.insert(db, lane.label, key)
            if seq:
                table.delete(db, seq)

        try:
            await self.database.run(work, frees=True)
            self.spool.give(item)
        except StorageError as error:
            logger.error("%s: the id of a message could not be kept: %s", lane.label, error)
        self.spool.release(item)
        self.spool.feed(lane)

    async def drop(self, item: Item) -> None:
        """Nothing is left to do for it."""
        lane, seq = item.lane, await self.spool.shelf.settle(item)
        lane.items.pop(item, None)
        if seq:
            self.database.submit(lambda db: table.delete(db, seq), partial(self.spool.deleted, item), frees=True)
        self.spool.release(item)
        self.spool.feed(lane)

    async def note(self, item: Item, pause: float, error: str) -> None:
        """It has failed, and stays where it is; so that the attempt counts if the application stops meanwhile."""
        seq, due = await self.spool.shelf.settle(item), self.spool.now() + pause
        if not seq:
            return
        try:
            await self.database.run(lambda db: table.postpone(db, seq, item.attempts, due, error), frees=True)
        except StorageError as failure:
            logger.error("%s: a failed attempt could not be noted: %s", item.lane.label, failure)

    async def try_later(self, item: Item, pause: float, error: str) -> None:
        """It has failed, and is tried again after a pause (in seconds)."""
        lane, seq, due = item.lane, await self.spool.shelf.settle(item), self.spool.now() + pause
        lane.items.pop(item, None)
        if seq:
            self.spool.postpone(seq, item.attempts, due, error, lane)
            self.spool.release(item)
        else:
            data = encode(item.message)
            self.spool.store(item, Entry(lane.label, data, item.attempts, due, again=item.again, error=error))
        self.spool.feed(lane)

    async def bury(self, item: Item, error: str) -> None:
        """It has failed for the last time: it stays unacknowledged, or in the spool, until it is a dead letter."""
        lane, pause = item.lane, _FIRST_PAUSE
        letter = letter_of("subscription", lane.label, item.message, item.attempts, error)
        while True:
            seq = await self.spool.shelf.settle(item)
            failure = await self._try_to_bury(item, letter, seq)
            if failure is None:
                break
            logger.error("%s: a dead letter could not be kept, tried again: %s", lane.label, failure)
            if not await self.wait(lane, pause):
                return
            pause = min(pause * 2, _LONGEST_PAUSE)
        lane.remember(item.key)
        if seq:
            lane.items.pop(item, None)
            self.spool.give(item)
            self.spool.release(item)
            self.spool.feed(lane)
        else:
            await self.drop(item)  # it may have moved to the spool meanwhile

    async def _try_to_bury(self, item: Item, letter: DeadLetter, seq: int) -> StorageError | None:
        lane, buried = item.lane, anyio.Event()
        failures: list[StorageError] = []

        def also(db: sqlite3.Connection) -> None:
            if lane.seen is not None:
                seen.insert(db, lane.label, item.key)
            if seq:
                table.delete(db, seq)

        def done(error: StorageError | None) -> None:
            if error is not None:
                failures.append(error)
            buried.set()

        self._graveyard.bury(letter, also, done)
        await buried.wait()
        return failures[0] if failures else None
