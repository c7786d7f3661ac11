"""The rows of the outbox on their way to the broker: in order, within their share of the window, until acknowledged."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable

import anyio

from ..._core import WireError, decode
from ...errors import UnhandledError
from ...storage import outbox as table
from ...storage.clock import Moment
from ...storage.database import Database, StorageError
from ...storage.outbox import Gone, Row, Totals
from ..messages import logger
from .away import Urgency
from .deletions import Deletions
from .holding import Holding
from .link import Link
from .losses import Losses
from .publisher import BUSY, Outgoing, Publisher
from .room import Room
from .settling import Settling
from .turns import Turns

__all__ = ("Backlog",)

_BATCH = 256
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0


class Backlog:
    """Sends what is on disk.

    A row *waits* until it is *posted* to the publisher; acknowledged, it is *held* or deleted.

    :param hold: how long a row of ``durability="disk"`` is held, in seconds.
    :param stirred: called when :meth:`tick` has something to do.
    :param held_back: told of an event name of which a row has to be sent once more: what comes later waits behind it.
    :param refused: told of a row that will never be sent, with topic and reason; it deletes the row.
    """

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        room: Room,
        losses: Losses,
        settling: Settling,
        prefix: str,
        instance_id: str,
        *,
        hold: float,
        refused: Callable[[Row, str, str], None],
        stirred: Callable[[], None],
        held_back: Callable[[str], None],
        urgency: Urgency | None = None,
    ) -> None:
        self._deletions = Deletions(database, self._deleted, stirred)
        self.holding = Holding(publisher, prefix, instance_id, hold, self._deletions.add, self._reach)
        self.posted: dict[int, tuple[Row, Outgoing]] = {}
        self._database = database
        self._publisher = publisher
        self._room = room
        self._prefix = prefix
        self._losses = losses
        self._settling = settling
        self._refused = refused
        self._stirred = stirred
        self._held_back = held_back
        self._turns = Turns(urgency, settling)
        self._waiting: Counter[str] = Counter()
        """How many rows that keep their order wait, by event name; those that are about to be written among them."""
        self._expected: Counter[str] = Counter()
        """How many of these are about to be written."""
        self._overtaking: set[int] = set()
        """Those of the posted rows that went there as soon as they were written."""
        self._busy: dict[int, tuple[int, str]] = {}
        """Size and name ("" for one that keeps no order) of the rows on disk that do not wait."""
        self._tail: deque[Row] = deque()
        """The next rows that wait; all of them, if we have caught up."""
        self._is_caught_up = False
        self._last = 0
        """Every row up to this number does not wait any more."""
        self._newest = 0
        """The highest number that we have written."""
        self._may_hold = False
        """Whether there are rows that an earlier process may have held."""
        self._wake = anyio.Event()
        self._paused_until = 0.0
        self._pause = _FIRST_PAUSE

    # --- what comes

    def numbers(self) -> list[int]:
        """The rows on disk that do not wait."""
        return list(self._busy)

    def load(self, totals: Totals, missing: Iterable[int] = (), *, first: bool = False) -> None:
        """Takes note of what there is: left by an earlier process, or changed by another one.

        :param missing: which of the :meth:`numbers` another one has deleted.
        """
        for seq in missing:
            self._withdraw(seq)
            self.holding.discard(seq)
            self._busy.pop(seq, None)
        self._room.set(totals.messages, totals.bytes)
        self._waiting = Counter(totals.names) + self._expected
        self._waiting.subtract(name for _, name in self._busy.values() if name)
        self._may_hold = self._may_hold or (first and totals.hold > 0)
        self._look_again(self._last)

    @property
    def sent(self) -> frozenset[int]:
        """The rows that may be with the broker now: dropping them would gain nothing."""
        return frozenset(self.posted) if self._publisher.is_up else frozenset()

    @property
    def oldest(self) -> Moment | None:
        """When the oldest row was emitted that is in memory."""
        if self.posted:
            return self.posted[min(self.posted)][0].since
        return self._tail[0].since if self._tail else None

    def is_waiting(self, name: str) -> bool:
        """Whether an event of this name has to wait for others on disk."""
        return self._waiting.get(name, 0) > 0

    def is_behind(self, row: Row) -> bool:
        """Whether a row that is being written has to wait for others on disk."""
        return row.ordered and self._waiting[row.name] > self._expected[row.name]

    def may_overtake(self, row: Row) -> bool:
        """Whether a row that is being written can be sent at once: none of its name waits, and there is room."""
        is_alone = self._is_caught_up and not self._tail
        window = self._publisher.window
        has_room = len(self.posted) < window if is_alone else len(self._overtaking) < _room_for_others(window)
        return self._publisher.is_up and not self._paused_until and has_room and not self.is_behind(row)

    def expect(self, row: Row) -> None:
        """A row is about to be written: what is emitted from now on comes after it."""
        if row.ordered:
            self._waiting[row.name] += 1
            self._expected[row.name] += 1

    def written(self, row: Row, entry: Outgoing | None = None) -> None:
        """A row is on disk.

        :param entry: its message, if that is on its way already.
        """
        self._expected[row.name] -= row.ordered
        self._newest = max(self._newest, row.seq)
        self._turns.renew()
        if entry is not None:
            self._take(row)
            self.posted[row.seq] = (row, entry)
            self._overtaking.add(row.seq)
        elif self._is_caught_up and len(self._tail) < _BATCH:
            self._tail.append(row)
        else:
            self._is_caught_up = False
        self._wake.set()

    def failed(self, row: Row) -> None:
        """A row could not be written."""
        self._expected[row.name] -= row.ordered
        self._waiting[row.name] -= row.ordered

    def gone(self, rows: Iterable[Gone]) -> None:
        """Rows were deleted because they are too old, or others need their room."""
        rows = list(rows)
        numbers = {row.seq for row in rows}
        for row in rows:
            self._room.give(row.size)
            self._withdraw(row.seq)
            self.holding.discard(row.seq)
            if self._busy.pop(row.seq, None) is None and row.ordered:
                self._waiting[row.name] -= 1
        self._tail = deque(row for row in self._tail if row.seq not in numbers)

    # --- what goes

    async def reconnected(self, link: Link) -> bool:
        """A connection is there, on which nothing is published yet. Whether all has to be sent again, in order.

        :raises LinkLost: if it ends.
        """
        lost = await self.holding.lost(link, may_hold=self._may_hold)
        self._paused_until, self._pause = 0.0, _FIRST_PAUSE
        if lost:
            logger.warning("the broker may have lost %d events that it had acknowledged: sent again", len(lost))
            # What is on its way takes its place among them.
            again = (*lost, *self.posted)
            self._release(*again)
            self._look_again(min(again) - 1)
        for row in [row for row, _ in self.posted.values() if self._losses.is_too_old(row.since, row.name)]:
            self._withdraw(row.seq)
            self._losses.drop("too old", 1)
            self._deletions.add([row.seq])
        self._wake.set()
        return bool(lost)

    async def drain(self) -> None:
        """Sends rows whenever that is possible; runs as long as the bridge."""
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            while self._may_post():
                if self._turns.is_less_urgent(self._waiting, self._expected):
                    self._look_again(self._turns.lowest - 1)
                if self._tail:
                    row = self._tail.popleft()
                    if self._turns.passes_over(row):
                        self._last = row.seq
                    else:
                        self._post(row)
                elif not self._is_caught_up:
                    await self._read()
                elif self._turns.descend(self._waiting, self._expected):
                    self._look_again(self._turns.lowest - 1)
                else:
                    break

    def tick(self) -> bool:
        """Does what time asks for; whether there is more of that to come."""
        self.holding.mark()
        self._deletions.go_on()
        if self._paused_until and time.monotonic() >= self._paused_until:
            self._paused_until = 0.0
            self._wake.set()
        if self._turns.has_rested(self._is_caught_up):
            self._look_again(self._turns.lowest - 1)
        return bool(self._paused_until or self._turns.any_passed or len(self.holding) or self._deletions)

    def wake(self) -> None:
        """Looks whether there is something to send."""
        self._wake.set()

    def settled(self, row: Row, entry: Outgoing) -> None:
        """The broker has answered."""
        self._wake.set()
        if self._settling.is_premature(row.name, entry.code, was_kept=True):
            self._hold_back(row)
            self._settling.rest(row.name)
            self._stirred()
            return
        if entry.code in BUSY:
            self._hold_back(row)
            self._rest()
            return
        self._pause = _FIRST_PAUSE
        error = entry.error()
        if error is not None:
            self.give_up(row, entry.topic, str(error))
            return
        self._unpost(row.seq)
        if row.hold:
            self.holding.add(row.seq)
            self._stirred()
        else:
            self._deletions.add([row.seq])

    def _may_post(self) -> bool:
        window = self._publisher.window
        share = max(1, window - _room_for_others(window))
        has_room = len(self.posted) - len(self._overtaking) < share
        return self._publisher.is_up and not self._paused_until and has_room

    async def _read(self) -> None:
        """Reads the next rows."""
        after = self._last
        finished = anyio.Event()

        def done(found: tuple[list[Row], int, list[Gone]] | None, error: StorageError | None) -> None:
            # Called in the order of all that is written: what was written before is among the rows.
            finished.set()
            if found is None:
                logger.error("the outbox cannot be read: %s", error)
                self._rest()
                return
            rows, up_to, damaged = found
            if damaged:
                self._losses.drop("damaged", len(damaged))
                self.gone(damaged)
            if after != self._last:
                return  # there was a reason to look at older ones again
            self._tail = deque(row for row in rows if not self._is_busy(row))
            self._is_caught_up = len(rows) + len(damaged) < _BATCH
            if self._is_caught_up:
                self._may_hold = False
            if not self._tail:
                self._last = up_to

        self._database.submit(lambda db: table.load(db, after, _BATCH), done)
        await finished.wait()

    def _is_busy(self, row: Row) -> bool:
        """Whether a row does not wait."""
        if row.seq in self._busy:
            return True
        if row.hold and row.seq <= self.holding.saved:
            # An earlier process had its acknowledgement, and the broker still knows the event.
            self._take(row)
            self.holding.add(row.seq)
            self._stirred()
            return True
        return False

    def give_up(self, row: Row, topic: str, reason: str) -> None:
        """A row will never be sent."""
        self._unpost(row.seq)
        self._refused(row, topic, reason)

    def _post(self, row: Row) -> None:
        self._take(row)
        self._last = row.seq
        if self._losses.is_too_old(row.since, row.name):
            self._losses.drop("too old", 1)
            self._deletions.add([row.seq])
            return
        try:
            expiry = self._losses.expiry(row.since, row.name)
            entry = Outgoing(decode(row.message), self._prefix, expiry, again=True, payload=row.message)
            entry.on_settled = lambda entry: self.settled(row, entry)
            self.posted[row.seq] = (row, entry)
            self._publisher.post(entry)
        except (WireError, UnhandledError) as error:
            self.give_up(row, "", str(error))

    def _take(self, row: Row) -> None:
        """A row waits no more."""
        self._busy[row.seq] = (row.size, row.name if row.ordered else "")
        # One that another process has just added may not have been counted yet.
        if row.ordered and self._waiting[row.name] > 0:
            self._waiting[row.name] -= 1

    def _release(self, *numbers: int) -> None:
        """Rows wait again."""
        self._turns.renew()
        self._withdraw(*numbers)
        for seq in numbers:
            _, name = self._busy.pop(seq)
            if name:
                self._waiting[name] += 1

    def _hold_back(self, row: Row) -> None:
        """A row has to be sent once more; what is behind it and not sent yet stays behind it."""
        behind = [
            seq
            for seq, (other, entry) in self.posted.items()
            if row.ordered and seq > row.seq and other.name == row.name and not entry.sent
        ]
        self._release(row.seq, *behind)
        self._look_again(row.seq - 1)
        self._held_back(row.name)

    def _withdraw(self, *numbers: int) -> None:
        entries = [self.posted[seq][1] for seq in numbers if seq in self.posted]
        for seq in numbers:
            self._unpost(seq)
        for entry in entries:
            entry.on_settled = None
        self._publisher.forget(*entries)

    def _unpost(self, seq: int) -> None:
        self._overtaking.discard(seq)
        self.posted.pop(seq, None)

    def _look_again(self, after: int) -> None:
        """Reads what comes after this number from disk."""
        self._last = min(self._last, after)
        self._turns.look_from(after)
        self._is_caught_up = False
        self._tail.clear()
        self._wake.set()

    def _rest(self) -> None:
        self._paused_until = time.monotonic() + self._pause
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
        self._stirred()

    def _reach(self) -> int:
        """The number up to which every row has been acknowledged."""
        is_all_looked_at = self._is_caught_up and not self._tail
        after = 1 + (max(self._newest, self._last) if is_all_looked_at else self._last)
        return min(after, self._turns.lowest, min(self.posted, default=after)) - 1

    def _deleted(self, numbers: list[int]) -> None:
        for seq in numbers:
            size, _ = self._busy.pop(seq, (0, ""))
            if size:
                self._room.give(size)


def _room_for_others(window: int) -> int:
    """The part of the window that is left to what is emitted now: a fifth."""
    return max(1, window // 5)
