"""Events on their way out: straight to the broker while it answers, by way of the disk where it does not."""

from __future__ import annotations

import time
from collections import OrderedDict
from itertools import takewhile
from typing import Any

import anyio
from anyio.abc import TaskGroup

from ..._core import Message
from ...config import OutboxSettings
from ...errors import StatusCode, UnhandledError
from ...policy import Keeping
from ...storage import outbox as table
from ...storage.database import Database, StorageError
from ..messages import logger
from .away import Urgency
from .backlog import Backlog
from .emission import Event, FullError
from .graveyard import Graveyard
from .link import Link
from .losses import SWEEP, Losses
from .marker import Marker
from .oldest import Oldest
from .publisher import BUSY, Outgoing, Publisher
from .room import Room
from .settling import Settling
from .signal import Signal

__all__ = ("Outbox",)

_SPILLED = 1000
"""How many events that are on disk may wait in memory for their acknowledgement; more go to disk alone."""


class Outbox:
    """Keeps what ``emit`` has promised.

    :param message_expiry: how long the broker keeps an event, in seconds.
    :param emit_timeout: how long an emit may take in all, in seconds.
    :param urgency: which events go first, and how long each may wait.
    """

    def __init__(
        self,
        settings: OutboxSettings,
        database: Database,
        publisher: Publisher,
        graveyard: Graveyard,
        *,
        prefix: str,
        instance_id: str,
        message_expiry: float,
        emit_timeout: float,
        urgency: Urgency | None = None,
    ) -> None:
        self._settings = settings
        self._database = database
        self._publisher = publisher
        self._graveyard = graveyard
        self._prefix = prefix
        self._emit_timeout = emit_timeout
        self._spill_after = min(settings.spill_after, emit_timeout / 2)
        self._room = Room(settings.max_messages, settings.max_bytes)
        self._losses = Losses(database, self._room, min(settings.max_age, message_expiry), urgency)
        self._settling = Settling()
        self.backlog = Backlog(
            database,
            publisher,
            self._room,
            self._losses,
            self._settling,
            prefix,
            instance_id,
            hold=settings.hold,
            refused=self._refused,
            stirred=lambda: self._stirred.set(),
            held_back=self._follow,
            urgency=urgency,
        )
        self._sent: OrderedDict[Event, float] = OrderedDict()
        """Events that are only in memory, with the time from which on they are."""
        self._spilling: dict[Event, None] = {}
        """Events that are on their way, and being written to disk."""
        self._stirred = anyio.Event()
        self._oldest = Oldest(database, self._room, self._losses, self.backlog, self._insert, self._confirm)
        self._spilled = 0

    # --- life

    async def load(self, tasks: TaskGroup) -> None:
        """Reads what there is, and keeps what is emitted, in this group, from now on.

        :raises StorageError: if the disk cannot be read.
        """
        self.marker.store_id = self._database.store_id
        totals, drops = await self._database.run(lambda db: (table.totals(db), table.drops(db)))
        self._losses.recall(drops)
        self.backlog.load(totals, first=True)
        tasks.start_soon(self._watch)
        self._stirred.set()

    def start(self, tasks: TaskGroup) -> None:
        """Sends what is on disk, in this group, from now on: the own subscriptions are there."""
        tasks.start_soon(self.backlog.drain)

    async def reconnected(self, link: Link) -> None:
        """A connection is there; comes before anything is published on it."""
        self._settling.connected()
        if await self.backlog.reconnected(link):
            # What is in memory is younger than what is sent again from disk.
            self._publisher.forget(*self._spilling)
            self._retreat(list(self._sent))
        self._stirred.set()

    async def stop(self) -> None:
        """Puts on disk what is only in memory. Whoever waits for that has an answer afterwards."""
        self._spill(list(self._sent))
        try:
            await self._database.run(lambda _db: None)
        except StorageError as error:
            logger.error("the outbox could not be closed in order: %s", error)

    @property
    def marker(self) -> Marker:
        """What the broker keeps for us of how far it remembers."""
        return self.backlog.holding.marker

    def changed(self) -> None:
        """Another process has changed the table."""
        numbers = self.backlog.numbers()

        def done(found: tuple[table.Totals, set[int]] | None, error: StorageError | None) -> None:
            if found is not None:
                self.backlog.load(*found)
            else:
                logger.error("the outbox cannot be read: %s", error)

        self._database.submit(lambda db: (table.totals(db), table.missing(db, numbers)), done)

    # --- emitting

    async def emit(self, message: Message, keeping: Keeping, timeout: float | None) -> None:
        """Sends an event; it is with the broker, or on disk, when this returns.

        :param timeout: how long to wait for room on disk where the event's ``overflow`` is ``"block"``, in seconds.
        :raises UnhandledError: 507 if there is no room on disk; 503 if the disk cannot be written; 400, 403, 413 as
            the broker refuses it; 504 if neither broker nor disk answered within ``bridge.emit_timeout``.
        """
        await self.finish(self.start_one(message, keeping), timeout)

    def start_one(self, message: Message, keeping: Keeping, *, is_alone: bool = False) -> Event:
        """The first part of :meth:`emit`, in which the order of events is decided; :meth:`finish` is to follow."""
        event = self._event(message, keeping)
        event.is_alone = is_alone
        self._begin(event)
        return event

    async def finish(self, event: Event, timeout: float | None) -> None:
        """The second part of :meth:`emit`; raises what that does."""
        try:
            await event.confirmed.wait(self._emit_timeout)
            while isinstance(event.failure, FullError) and event.overflow == "block":
                if not await self._room.wait(event.row.size, timeout):
                    break
                event.failure, event.confirmed = None, Signal()
                self._insert(event)
                await event.confirmed.wait()
        except TimeoutError:
            nobody = f"neither the broker nor the disk took event {event.row.name!r} within {self._emit_timeout} s"
            if event.state == "memory" and not event.sent:
                raise UnhandledError(StatusCode.SERVICE_UNAVAILABLE, f"{nobody}: it was not sent") from None
            raise UnhandledError(StatusCode.GATEWAY_TIMEOUT, f"{nobody}: whether it will arrive is unknown") from None
        finally:
            self._sent.pop(event, None)
            if not event.confirmed.is_set():
                self._publisher.forget(event)
        if event.failure is not None:
            raise event.failure

    def begin(self, message: Message, keeping: Keeping) -> Outgoing:
        """Sends an event for which nobody waits; a failure is logged.

        :raises UnhandledError: 400 or 413 if it cannot be sent at all.
        """
        return self.start_one(message, keeping, is_alone=True)

    async def admitted(self, event: Outgoing, timeout: float) -> None:
        """Waits until an event of :meth:`begin` has its place in the window, or is on disk; not for longer than that.

        :param timeout: in seconds.
        """
        assert isinstance(event, Event)
        if event.confirmed.is_set() or not self._publisher.is_waiting(event):
            return
        event.room = anyio.Event()
        with anyio.move_on_after(timeout):
            await event.room.wait()

    def statistics(self) -> dict[str, Any]:
        """Counters and depths."""
        return {
            "messages": self._room.messages,
            "bytes": self._room.bytes,
            "oldest_age": self._losses.oldest_age(self.backlog),
            "in_flight": len(self.backlog.posted),
            "held": len(self.backlog.holding),
            "spilled": self._spilled,
            "dropped": dict(self._losses.drops),
            "failures": self._database.failures,
        }

    def _event(self, message: Message, keeping: Keeping) -> Event:
        since = self._database.clock.now()
        event = Event(
            message, self._prefix, keeping, self._settings, since, self._losses.expiry(since, message.event_name)
        )
        event.pack(self._losses.longest_expiry(event.row.name))
        self._publisher.check_size(event)
        return event

    def _begin(self, event: Event) -> None:
        row = event.row
        if row.hold or (row.ordered and (self.backlog.is_waiting(row.name) or self._oldest.makes_room(row.name))):
            # What is older and in memory comes first on disk as well, here and below.
            self._spill([older for older in self._sent if older.row.name == row.name])
            self._write(event)
        elif self._publisher.is_away(self._spill_after) or len(self.backlog.posted) >= _SPILLED:
            self._spill(list(self._sent))
            self._write(event)
        else:
            event.on_settled = self._settled
            self._publisher.post(event)
            self._sent[event] = time.monotonic()
            self._stirred.set()

    def _settled(self, entry: Outgoing) -> None:
        """The broker has answered an event that is in memory."""
        assert isinstance(entry, Event)
        if entry.state == "written":
            self.backlog.settled(entry.row, entry)
            return
        is_alone = self._settling.is_premature(entry.row.name, entry.code, was_kept=False)
        is_refused = is_alone or entry.code in BUSY
        if entry.state == "writing" and (is_refused or entry.code >= 0x80):
            return  # what becomes of it is decided when it is on disk
        if is_refused:
            self._sent.pop(entry, None)
            self._write(entry)
            self._follow(entry.row.name)
        else:
            self._confirm(entry, entry.error())

    def _confirm(self, event: Event, failure: UnhandledError | None = None) -> None:
        self._sent.pop(event, None)
        if event.confirmed.is_set():
            return
        event.failure = failure
        event.confirmed.set()
        if event.room is not None:
            event.room.set()
        if failure is not None and event.is_alone:
            logger.error("event %r of %s was lost: %s", event.row.name, event.message.sender.service_name, failure)
            self._losses.drop("failed", 1)

    # --- to disk

    def _spill(self, events: list[Event]) -> None:
        """Writes events to disk that stay on their way."""
        for event in events:
            if event not in self._sent:
                continue  # it has followed another one
            del self._sent[event]
            event.state = "writing"
            self._spilling[event] = None
            self._write(event)

    def _follow(self, name: str) -> None:
        """An event of this name waits on disk: those that are in memory, and were not sent, wait behind it."""
        self._retreat([e for e in self._sent if e.row.name == name and e.row.ordered and not e.sent])

    def _retreat(self, events: list[Event]) -> None:
        """Events in memory go to disk, and from there to the broker."""
        for event in events:
            del self._sent[event]
        self._publisher.forget(*events)
        for event in events:
            self._write(event)

    def _write(self, event: Event) -> None:
        row, event.is_fresh = event.row, False
        waits = self._oldest.makes_room(row.name) or (event.overflow == "block" and self._room.is_awaited)
        if waits or not self._room.has(row.size):
            self._make_room(event)
        else:
            self._insert(event)

    def _insert(self, event: Event) -> None:
        row = event.row
        self._room.take(row.size)
        self.backlog.expect(row)

        def done(_result: None, error: StorageError | None) -> None:
            if error is None:
                self._room.keep(row.size)
                self._written(event)
                self._confirm(event)
                return
            self._spilling.pop(event, None)
            self._room.leave(row.size)
            self.backlog.failed(row)
            self._stay_in_memory(event)
            self._confirm(event, error)

        self._database.submit(lambda db: table.insert(db, [row]), done)

    def _written(self, event: Event) -> None:
        """An event is on disk: it stays on its way, begins its way, or waits for its turn."""
        row, is_on_its_way = event.row, event in self._spilling
        self._spilling.pop(event, None)
        self._spilled += 1
        is_new = not (is_on_its_way or event.sent or event.gone)
        if is_on_its_way and not event.sent and self.backlog.is_behind(row):
            self._publisher.forget(event)
        if is_on_its_way and not event.gone:
            event.state = "written"
            self.backlog.written(row, event)
            if event.code >= 0:
                self.backlog.settled(row, event)  # the broker was faster than the disk
        elif is_new and self.backlog.may_overtake(row):
            # Nothing of its name waits: it need not queue behind the backlog of others.
            event.on_settled, event.state = self._settled, "written"
            self.backlog.written(row, event)
            try:
                self._publisher.post(event)
            except UnhandledError as error:  # another broker than it was meant for, which takes less
                self.backlog.give_up(row, event.topic, str(error))
        else:
            # It has left the window, for order's sake or because whoever emitted it was cancelled, or was never in it.
            event.on_settled, event.state = None, "memory"
            self.backlog.written(row)

    def _stay_in_memory(self, event: Event) -> None:
        """The disk does not take it: it is not sent any more, unless it was."""
        if event.state == "writing":
            # Its answer, if it comes still, changes nothing: what becomes of it is decided here.
            event.state, event.on_settled = "memory", None
            self._publisher.forget(event)

    def _make_room(self, event: Event) -> None:
        """What happens to an event for which there is no room."""
        self._spilling.pop(event, None)
        self._stay_in_memory(event)
        if event.overflow == "drop_oldest":
            self._oldest.drop(event)
            self._follow(event.row.name)
        elif event.overflow == "drop_newest":
            self._losses.drop("full", 1)
            self._confirm(event)
        else:
            full = f"the outbox is full ({self._room}): event {event.row.name!r} was not kept"
            self._confirm(event, FullError(StatusCode.INSUFFICIENT_STORAGE, full))

    # --- time

    async def _watch(self) -> None:
        while True:
            with anyio.move_on_after(SWEEP if self._room.messages else None):
                await self._stirred.wait()
            self._stirred = anyio.Event()
            is_busy = True
            while is_busy:
                self._losses.sweep(self.backlog)
                await anyio.sleep(min(self._spill_after / 4, 0.5))
                self._spill(self._overdue())
                is_busy = self.backlog.tick() or bool(self._sent)

    def _overdue(self) -> list[Event]:
        late = time.monotonic() - self._spill_after
        return list(takewhile(lambda event: self._sent[event] <= late, self._sent))

    # --- what is lost

    def _refused(self, row: table.Row, topic: str, reason: str) -> None:
        self._graveyard.bury_row(row, topic, reason, lambda: self.backlog.gone([row.as_gone()]))
