"""Messages that cannot be handled now: on disk, acknowledged to the broker, and nobody waits behind them.

A message goes there when its handler fails (it is tried again later), when its handlers take long, and when the broker
sends it again after a crash: then each attempt is counted on disk before it begins, so that a message that ends the
process becomes a dead letter in the end.
"""

from __future__ import annotations

import heapq
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import anyio
from anyio.abc import TaskGroup

from ..._core import Message, WireError, decode, encode
from ...config import RetrySettings
from ...storage import seen
from ...storage import spool as table
from ...storage.database import Database, StorageError
from ...storage.dead_letters import DeadLetter
from ...storage.spool import Entry
from ..messages import logger
from ..workers import Workers
from .attempts import Attempts
from .graveyard import Graveyard
from .lanes import Delivery, Item, Lane
from .shelf import Shelf
from .subscriptions import Interest

__all__ = ("Spool",)

_READ_AGAIN = 1.0
"""After how many seconds is read again what could not be read."""
_UNACKNOWLEDGED = 1000
"""How many messages of QoS 0 may wait for the disk; of the others the broker sends no more than it may."""
_ENDED = "the process ended while the handler ran"


class Spool:
    """Keeps messages for subscriptions on disk, and brings them back.

    :param finished: told that a subscription has finished with a delivery.
    """

    def __init__(
        self,
        settings: RetrySettings,
        database: Database,
        workers: Workers,
        graveyard: Graveyard,
        finished: Callable[[Delivery], None],
    ) -> None:
        self.is_draining = True
        """Whether nothing is brought back from disk."""
        self._ack_within = settings.ack_within
        self._database = database
        self._workers = workers
        self._graveyard = graveyard
        self._finished = finished
        self.shelf = Shelf(settings, database, self._written, lambda: self._stirred.set())
        self._lanes: dict[int, Lane] = {}
        self._by_label: dict[str, Lane] = {}
        self._due: list[tuple[float, int, str]] = []
        """What waits for its next attempt: when (in powered seconds), number, subscription; a heap."""
        self._known: set[int] = set()
        """The numbers of what is on disk."""
        self._stored = 0
        self._stirred = anyio.Event()
        self.attempts = Attempts(self, database, graveyard)

    # --- life

    def add(self, interest: Interest) -> None:
        """Adds a subscription; before :meth:`start`."""
        lane = self._lanes[interest.queue] = Lane(interest)
        self._by_label[lane.label] = lane

    async def load(self) -> None:
        """Reads what an earlier process left.

        :raises StorageError: if the disk cannot be read.
        """
        remembering = [lane for lane in self._lanes.values() if lane.seen is not None]

        def read(db: sqlite3.Connection) -> tuple[list[table.Waiting], list[tuple[list[str], list[bytes]]]]:
            found = table.waiting(db)
            table.settle(db)
            return found, [(seen.load(db, lane.label), table.begun(db, lane.label)) for lane in remembering]

        rows, ids = await self._database.run(read)
        for lane, (keys, begun) in zip(remembering, ids, strict=True):
            lane.recall(keys, begun)
        for row in rows:
            self.shelf.room.add(row.size)
            self._known.add(row.seq)
            self._resume(row)

    def start(self, tasks: TaskGroup) -> None:
        """Hands what is on disk to the subscriptions, in this group, from now on."""
        self.is_draining = False
        tasks.start_soon(self._watch)

    def changed(self) -> None:
        """Another process has changed the table."""

        def done(rows: list[table.Waiting] | None, error: StorageError | None) -> None:
            if rows is None:
                logger.error("the spool cannot be read: %s", error)
                return
            for row in rows:
                if row.seq not in self._known:
                    self._known.add(row.seq)
                    self.shelf.room.add(row.size)
                    self._resume(row)
            for lane in self._lanes.values():
                self.feed(lane)

        self._database.submit(table.waiting, done)

    async def stop(self) -> None:
        """Notes that what still runs was not ended by itself."""
        self.attempts.leave()
        try:
            await self._database.run(table.rest)
        except StorageError as error:
            logger.error("the spool could not be closed in order: %s", error)

    def statistics(self) -> dict[str, Any]:
        """Counters and depths."""
        lanes = self._lanes.values()
        return {
            "messages": self.shelf.room.messages + len(self.shelf.waiting),
            "bytes": self.shelf.room.bytes,
            "waiting_for_retry": len(self._due),
            "waiting_for_disk": len(self.shelf.waiting),
            "retried": self.attempts.retried,
            "stored": self._stored,
            "duplicates": sum(lane.duplicates for lane in lanes),
            "errors": {lane.label: lane.errors for lane in lanes if lane.errors},
        }

    def _resume(self, row: table.Waiting) -> None:
        """Takes note of something on disk."""
        lane = self._by_label.get(row.consumer)
        if lane is None:
            self._bury_unserved(row)
        elif row.running and row.attempts >= lane.consumer.retry.attempts:
            self._bury_by_number(row.seq, row.attempts, _ENDED)
        elif lane.consumer.retry.block or (not row.due and (not row.running or row.attempts == 1)):
            # One that was being handled when the process ended goes first once more: it may not be to blame.
            lane.behind += 1
            lane.last = min(lane.last, row.seq - 1)
        elif row.running:
            logger.error("%s: %s (attempt %d); tried again later", lane.label, _ENDED, row.attempts)
            due = self.now() + lane.consumer.retry.pause(row.attempts)
            self.postpone(row.seq, row.attempts, due, _ENDED, lane)
        else:
            heapq.heappush(self._due, (row.due, row.seq, row.consumer))

    # --- what arrives

    def arrive(self, interest: Interest, message: Message, delivery: Delivery | None, *, again: bool) -> bool:
        """Takes a message for a subscription; False if there is no room in memory.

        :param again: whether it may have been handled before, in part, by a process that has ended since.
        """
        lane = self._lanes[interest.queue]
        item = Item(lane, message, delivery)
        if again or lane.behind:
            if delivery is None and len(self.shelf.waiting) >= _UNACKNOWLEDGED:
                return False
            self._park(item)
            return True
        if self._workers.dispatcher.deliver([lane.queue], item) >= 0:
            if delivery is None:
                return False
            self._park(item)
            return True
        lane.items[item] = None
        return True

    def move(self, delivery: Delivery) -> None:
        """Moves to disk what holds up an acknowledgement, with all that waits behind it for the same subscription."""
        for lane in self._lanes.values():
            if not any(item.delivery is delivery for item in lane.items):
                continue
            logger.warning("%s takes longer than %g s: what waits for it moves to disk", lane.label, self._ack_within)
            for item in list(lane.items):
                if item.delivery is None or item.storing is not None:
                    continue
                if item.is_running:
                    self.store(item, Entry(lane.label, encode(item.message), item.attempts, running=True))
                else:
                    item.is_parked = True
                    del lane.items[item]
                    self._park(item)

    def _park(self, item: Item) -> None:
        """Writes an item to disk, from where it comes when its turn is."""
        item.lane.behind += 1
        self.store(item, Entry(item.lane.label, encode(item.message)))

    # --- to disk

    def store(self, item: Item, entry: Entry) -> None:
        """Writes an item to disk; its delivery is finished once it is there."""
        self.shelf.put(item, entry)

    def _written(self, item: Item, entry: Entry) -> None:
        self._stored += 1
        self._known.add(entry.seq)
        if entry.due:
            heapq.heappush(self._due, (entry.due, entry.seq, entry.consumer))
            self._stirred.set()
        elif not entry.running:
            self.feed(item.lane)
        self.release(item)

    def release(self, item: Item) -> None:
        """The broker need not keep it any more."""
        delivery, item.delivery = item.delivery, None
        if delivery is not None:
            self._finished(delivery)

    # --- from disk

    def feed(self, lane: Lane) -> None:
        """Reads ahead for a subscription that has something on disk."""
        if self.is_draining or lane.is_loading or not lane.behind or len(lane.items) >= lane.ahead:
            return
        lane.is_loading = True
        after, due = lane.last, lane.consumer.retry.block

        def done(found: tuple[list[Entry], int] | None, error: StorageError | None) -> None:
            lane.is_loading = False
            if found is None:
                logger.error("%s: what is on disk cannot be read: %s", lane.label, error)
                return
            entries, damaged = found
            lane.behind -= damaged
            here = {item.seq for item in lane.items}
            for entry in entries:
                if entry.seq not in self._known:
                    # Another process has added it, and we have not been told yet.
                    self._known.add(entry.seq)
                    self.shelf.room.add(entry.size)
                    lane.behind += 1
                if entry.seq not in here:
                    if not self._bring(lane, entry):
                        return  # goes on when the next one has been handled
                    lane.behind -= 1
                lane.last = entry.seq
            if entries:
                self.feed(lane)

        self._database.submit(lambda db: table.load(db, lane.label, after, lane.ahead, due=due), done)

    def _bring(self, lane: Lane, entry: Entry) -> bool:
        """Gives an entry to the workers; False if they have no room now."""
        try:
            message = decode(entry.message)
        except WireError as error:  # it was whole when it was written
            self._bury_by_number(entry.seq, entry.attempts, str(error))
            return True
        item = Item(lane, message, None, entry.seq)
        item.attempts, item.due, item.again, item.size = entry.attempts, entry.due, entry.again, entry.size
        if self._workers.dispatcher.deliver([lane.queue], item) >= 0:
            return False
        lane.items[item] = None
        return True

    async def _watch(self) -> None:
        """Brings back what is due, and writes what could not be written."""
        while True:
            now = self.now()
            while self._due and self._due[0][0] <= now and not self.is_draining:
                self._bring_due(*heapq.heappop(self._due)[1:])
            self.shelf.write()
            for lane in self._lanes.values():
                self.feed(lane)
            moments = [self._due[0][0] - now] if self._due and not self.is_draining else []
            if any(lane.behind and not lane.items and not lane.is_loading for lane in self._lanes.values()):
                moments.append(_READ_AGAIN)
            if self.shelf.waiting:
                moments.append(max(0.05, self.shelf.try_at - time.monotonic()))
            with anyio.move_on_after(min(moments) if moments else None):
                await self._stirred.wait()
            self._stirred = anyio.Event()

    def _bring_due(self, seq: int, label: str) -> None:
        lane = self._by_label[label]

        def done(entry: Entry | None, error: StorageError | None) -> None:
            if error is not None or (entry is not None and not self._bring(lane, entry)):
                heapq.heappush(self._due, (self.now() + 1, seq, label))
                self._stirred.set()

        self._database.submit(lambda db: table.load_one(db, seq), done)

    def now(self) -> float:
        """This moment, in powered seconds."""
        return self._database.clock.now().powered

    # --- what becomes of it

    def give(self, item: Item) -> None:
        """An item is on disk no more."""
        if item.seq:
            self._known.discard(item.seq)
            self.shelf.give(item.size)

    def deleted(self, item: Item, _result: None, error: StorageError | None) -> None:
        """An item was to be taken from disk."""
        if error is None:
            self.give(item)
        else:
            logger.error("%s: a message that was handled is still on disk: %s", item.lane.label, error)

    def postpone(self, seq: int, attempts: int, due: float, error: str, lane: Lane) -> None:
        """Notes of an entry that so many attempts have failed, and when (in powered seconds) the next one is due."""

        def done(_result: None, failure: StorageError | None) -> None:
            if failure is not None:
                logger.error("%s: a retry could not be noted on disk: %s", lane.label, failure)
            heapq.heappush(self._due, (due, seq, lane.label))
            self._stirred.set()

        self._database.submit(lambda db: table.postpone(db, seq, attempts, due, error), done, frees=True)

    def _bury_unserved(self, row: table.Waiting) -> None:
        self._bury_by_number(row.seq, row.attempts, f"this application has no subscription {row.consumer} any more")

    def _bury_by_number(self, seq: int, attempts: int, error: str) -> None:
        """Makes a dead letter of something that is on disk only."""

        def done(entry: Entry | None, _error: StorageError | None) -> None:
            if entry is None:
                return
            try:
                name = decode(entry.message).event_name or ""
            except WireError:
                name = ""
            letter = DeadLetter("subscription", entry.consumer, name, attempts, error, entry.message)

            def buried(failure: StorageError | None) -> None:
                if failure is None:
                    self._known.discard(seq)
                    self.shelf.give(entry.size)

            self._graveyard.bury(letter, lambda db: table.delete(db, seq), buried)

        self._database.submit(lambda db: table.load_one(db, seq), done)
