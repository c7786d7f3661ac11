"""The outbox on a link that is played: each of these has once lost, held or reordered something."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from purista_fast import UnhandledError
from purista_fast._core import Address, Message
from purista_fast.bridges.mqtt.graveyard import Graveyard
from purista_fast.bridges.mqtt.link import LinkLost
from purista_fast.bridges.mqtt.outbox import Outbox
from purista_fast.bridges.mqtt.publisher import Publisher
from purista_fast.config import DeadLetterSettings, OutboxSettings
from purista_fast.policy import Keeping
from purista_fast.storage.clock import PoweredClock
from purista_fast.storage.database import Database
from tests.broker.helpers import until

pytestmark = pytest.mark.anyio
SENDER = Address("Test", "1", "here", "node")
DISK = Keeping(durability="disk")
PLAIN = Keeping()


class Broker:
    """What a broker keeps: the marker."""

    def __init__(self) -> None:
        self.marker: bytes | None = None


class PlayedLink:
    """Notes what is published, and answers when it is told to, or at once."""

    can_retain = True
    maximum_packet_size = 268_435_460

    def __init__(
        self, broker: Broker | None = None, *, receive_maximum: int = 1000, code: int | None = None, marker: int = 0
    ) -> None:
        self.broker = broker or Broker()
        self.receive_maximum = receive_maximum
        self.code = code
        self.marker = marker
        self.is_up = True
        self.lost_at = 0.0
        self.on_acknowledged: Callable[[int, int], None] = lambda _mid, _code: None
        self.sent: list[tuple[str, int]] = []
        self.markers: list[int] = []
        self.open: dict[int, Any] = {}
        self.side: Side
        self._mid = 0

    def publish(self, topic: str, payload: bytes, properties: Any, *, retain: bool = False) -> int:
        if not self.is_up:
            raise LinkLost("down")
        self._mid += 1
        body = json.loads(payload)
        if "/marker/" in topic:
            self.markers.append(body["seq"])
            self.open[self._mid] = (payload if retain else b"", body)
        else:
            self.sent.append((body["eventName"], body["payload"]))
            self.open[self._mid] = (None, (body["eventName"], body["payload"]))
        if self.code is not None:
            self.side.tasks.start_soon(self._answer_soon)
        return self._mid

    async def _answer_soon(self) -> None:
        await anyio.lowlevel.checkpoint()
        if self.is_up and self.open:
            self.answer(next(iter(self.open)))

    def answer(self, mid: int, code: int | None = None) -> None:
        payload, _ = self.open.pop(mid)
        if payload is not None:
            code = self.marker if code is None else code
            if payload and code < 0x80:
                self.broker.marker = payload
        self.on_acknowledged(mid, (self.code or 0) if code is None else code)

    def answer_all(self, code: int | None = None) -> None:
        while self.open:
            self.answer(next(iter(self.open)), code)

    async def fetch(self, topic: str) -> None:
        await anyio.lowlevel.checkpoint()
        if not self.is_up:
            raise LinkLost("down")
        if self.broker.marker:
            self.side.outbox.marker.arrived(self.broker.marker)

    def cut(self) -> None:
        import time

        self.is_up = False
        self.lost_at = time.monotonic()


class Side:
    """Outbox and window of one process."""

    def __init__(self, folder: Path, tasks: Any, **settings: Any) -> None:
        self.tasks = tasks
        self.publisher = Publisher(max_packet_size=100_000, where="the broker")
        self.database = Database(folder / "messages.db", PoweredClock("never"))
        self.graveyard = Graveyard(DeadLetterSettings(), self.database, lambda *_: None)
        self.outbox = Outbox(
            OutboxSettings(**settings),
            self.database,
            self.publisher,
            self.graveyard,
            prefix="purista",
            instance_id="node",
            message_expiry=1000.0,
            emit_timeout=settings.get("spill_after", 2.0) * 20,
        )
        self.outbox_errors: list[UnhandledError] = []

    async def open(self) -> None:
        await self.database.start(self.tasks)
        await self.graveyard.start()
        await self.outbox.load(self.tasks)
        self.outbox.start(self.tasks)

    async def up(self, link: PlayedLink) -> PlayedLink:
        """As Control.up does."""
        link.side = self
        await self.outbox.reconnected(link)  # type: ignore[arg-type]
        self.publisher.up(link)  # type: ignore[arg-type]
        self.outbox.backlog.wake()
        return link

    def message(self, name: str, number: int) -> Message:
        return Message(
            "customMessage", sender=SENDER, event_name=name, id=f"{name}{number}", payload=str(number).encode()
        )

    async def emit(self, name: str, number: int, keeping: Keeping = PLAIN) -> None:
        try:
            await self.outbox.emit(self.message(name, number), keeping, None)
        except UnhandledError as error:
            self.outbox_errors.append(error)

    def begin(self, name: str, number: int, keeping: Keeping = PLAIN) -> Any:
        return self.outbox.begin(self.message(name, number), keeping)

    async def settled(self) -> None:
        """Waits until the disk has done what it was told."""
        for _ in range(3):
            await self.database.run(lambda _db: None)
            await anyio.wait_all_tasks_blocked()

    async def rows(self) -> list[tuple[int, str]]:
        return await self.database.run(lambda db: db.execute("SELECT seq, name FROM outbox ORDER BY seq").fetchall())


@asynccontextmanager
async def process(folder: Path, **settings: Any) -> Any:
    async with anyio.create_task_group() as tasks:
        side = Side(folder, tasks, **settings)
        await side.open()
        yield side
        await side.outbox.stop()
        await side.database.close()
        tasks.cancel_scope.cancel()


def slow(side: Side) -> Callable[[], None]:
    """Holds the disk up until what is returned is called."""
    import threading

    gate = threading.Event()
    side.database.submit(lambda _db: gate.wait(10), lambda *_: None)
    return gate.set


# --- 1. nobody ticks


async def test_r1_held_rows_go_although_nothing_else_is_emitted(tmp_path: Path) -> None:
    async with process(tmp_path, hold=0.2, spill_after=0.2) as side:
        await side.up(PlayedLink(code=0))
        await anyio.sleep(0.5)  # the watch goes to sleep: there is nothing
        await side.emit("a", 1, DISK)
        await until(lambda: side.outbox.statistics()["messages"] == 0)


async def test_r1_a_busy_broker_is_tried_again(tmp_path: Path) -> None:
    async with process(tmp_path, spill_after=0.2) as side:
        link = await side.up(PlayedLink())
        await anyio.sleep(0.5)
        side.tasks.start_soon(side.emit, "a", 1, DISK)
        await until(lambda: link.sent)
        link.answer_all(0x97)
        await until(lambda: len(link.sent) == 2)


# --- 2. given up while, or after, it goes to disk


async def test_r2_cancelled_while_it_goes_to_disk(tmp_path: Path) -> None:
    async with process(tmp_path, spill_after=0.1) as side:
        link = await side.up(PlayedLink())
        link.cut()
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                resume = slow(side)
                tasks.start_soon(side.emit, "a", 1)
                await until(lambda: side.outbox._sent)
                event = next(iter(side.outbox._sent))
                await until(lambda: event.state == "writing")
                scope.cancel()
        resume()
        await side.settled()
        assert len(await side.rows()) == 1
        link = await side.up(PlayedLink(code=0))
        await side.settled()
        await side.settled()
        assert link.sent == [("a", 1)]
        assert not side.outbox.backlog.posted


async def test_r2_a_success_event_that_waited_too_long_for_the_window(tmp_path: Path) -> None:
    async with process(tmp_path, spill_after=0.1) as side:
        link = await side.up(PlayedLink(receive_maximum=1))
        side.begin("a", 1)
        second = side.begin("a", 2)
        await side.outbox.admitted(second, 0.5)
        await side.settled()
        assert len(await side.rows()) == 2
        link.cut()
        link = await side.up(PlayedLink(code=0))
        await side.settled()
        await side.settled()
        assert link.sent == [("a", 1), ("a", 2)]
        assert not side.outbox.backlog.posted


# --- 3. a marker of yesterday


async def test_r3_a_marker_that_waited_for_the_window_says_nothing_after_a_reconnect(tmp_path: Path) -> None:
    """The broker has lost everything; then it must not hear that we know it has the event."""
    broker = Broker()
    async with process(tmp_path, hold=60.0, spill_after=0.1) as side:
        link = await side.up(PlayedLink(broker, receive_maximum=1))
        side.tasks.start_soon(side.emit, "a", 1, DISK)
        await until(lambda: link.sent)
        link.answer_all()
        side.begin("other", 1)  # fills the window
        side.outbox._stirred.set()
        await until(lambda: side.publisher.waiting)  # the marker waits behind it
        link.cut()
        empty = Broker()
        link = await side.up(PlayedLink(empty))
        assert ("a", 1) not in link.sent[:1] or not link.markers
        first = link.markers[:1]
        link.answer_all()  # all that was published so far
        link.cut()
    async with process(tmp_path, hold=60.0, spill_after=0.1) as side:
        link = await side.up(PlayedLink(empty))
        await side.settled()
        assert ("a", 1) in link.sent, f"the broker never had it, and was told {first}"


# --- 4. what an earlier process held, and two connections


async def test_r4_a_broker_that_lost_all_before_the_backlog_was_read(tmp_path: Path) -> None:
    broker = Broker()
    async with process(tmp_path, hold=60.0, spill_after=0.1) as side:
        link = await side.up(PlayedLink(broker, code=0))
        for number in range(3):
            await side.emit("a", number, DISK)
        side.outbox._stirred.set()
        await until(lambda: link.markers and link.markers[-1] == 3 and broker.marker)
        await side.settled()
    # The process starts again; before its events session is there, the broker is killed and comes back empty.
    async with process(tmp_path, hold=60.0, spill_after=0.1) as side:
        link = PlayedLink(broker, code=0)
        link.side = side
        await side.outbox.reconnected(link)  # type: ignore[arg-type]
        link.cut()
        link = await side.up(PlayedLink(Broker(), code=0))
        await side.settled()
        await side.settled()
        assert link.sent == [("a", 0), ("a", 1), ("a", 2)]


# --- 5. order when a broker has lost something


async def test_r5_events_in_memory_stay_behind_those_on_disk_when_others_are_sent_again(tmp_path: Path) -> None:
    async with process(tmp_path, hold=60.0, spill_after=0.3) as side:
        link = await side.up(PlayedLink())
        side.tasks.start_soon(side.emit, "b", 1, DISK)
        await until(lambda: link.sent)
        link.answer_all()
        link.cut()
        side.begin("a", 1)
        await anyio.sleep(0.2)
        side.begin("a", 2)
        await until(lambda: len(side.outbox.backlog.posted) == 1)  # a1 is on disk, a2 is not yet
        assert len(side.outbox._sent) == 1
        link = await side.up(PlayedLink(code=0))
        await side.settled()
        await side.settled()
        assert [number for name, number in link.sent if name == "a"] == [1, 2]


# --- 6. the marker is not allowed


async def test_r6_a_refused_marker_does_not_hold_for_ever(tmp_path: Path) -> None:
    async with process(tmp_path, hold=0.2, spill_after=0.1) as side:
        await side.up(PlayedLink(code=0, marker=0x87))
        await side.emit("a", 1, DISK)
        side.outbox._stirred.set()
        await until(lambda: side.outbox.statistics()["messages"] == 0)


# --- 7. a full outbox on its way


async def test_r7_drop_oldest_keeps_the_order(tmp_path: Path) -> None:
    keeping = Keeping(overflow="drop_oldest")
    async with process(tmp_path, spill_after=0.3, max_messages=1) as side:
        link = await side.up(PlayedLink())
        link.cut()
        side.begin("a", 1, keeping)
        await until(lambda: len(side.outbox.backlog.posted) == 1)
        link = await side.up(PlayedLink())
        link.cut()
        side.begin("a", 2, keeping)
        await anyio.sleep(0.2)
        side.begin("a", 3, keeping)
        await until(lambda: side.outbox.statistics()["dropped"])
        await side.settled()
        link = await side.up(PlayedLink(code=0))
        await side.settled()
        await side.settled()
        assert [number for _, number in link.sent] == sorted(number for _, number in link.sent)


# --- 8. a refusal and what is behind it


async def test_r8_what_was_not_sent_yet_stays_behind_a_refused_one(tmp_path: Path) -> None:
    async with process(tmp_path, spill_after=0.3) as side:
        link = await side.up(PlayedLink(receive_maximum=1))
        for number in range(3):
            side.begin("a", number)
        assert link.sent == [("a", 0)]
        link.answer_all(0x97)
        await anyio.wait_all_tasks_blocked()
        assert link.sent[1:] in ([], [("a", 0)]), "a1 was overtaken"


# --- 9. what is on its way may be older than what was lost


async def test_r9_an_older_row_that_is_on_its_way_again_when_younger_ones_are_lost(tmp_path: Path) -> None:
    empty = Broker()
    async with process(tmp_path, hold=60.0, spill_after=0.1) as side:
        link = await side.up(PlayedLink())
        for number in (1, 2):
            side.tasks.start_soon(side.emit, "a", number, DISK)
            await until(lambda: len(link.sent) == number)  # noqa: B023
        link.answer(1, 0x97)
        link.answer(2, 0)
        side.outbox._stirred.set()
        await until(lambda: link.sent == [("a", 1), ("a", 2), ("a", 1)])
        link.cut()
        link = await side.up(PlayedLink(empty, code=0))
        await side.settled()
        side.outbox._stirred.set()
        await until(lambda: link.markers)
        await side.settled()
        first = list(link.sent)
        link.cut()
    async with process(tmp_path, hold=60.0, spill_after=0.1) as side:
        again = await side.up(PlayedLink(empty, code=0))
        await side.settled()
        await side.settled()
        assert ("a", 1) in first + again.sent, f"lost; sent after the break: {first}, after the restart: {again.sent}"
    assert first == [("a", 1), ("a", 2)]


# --- 10. order on disk


async def test_r10_what_is_older_comes_first_on_disk_as_well(tmp_path: Path) -> None:
    async with process(tmp_path, spill_after=0.3) as side:
        link = await side.up(PlayedLink())
        link.cut()
        first = side.begin("a", 1)
        await anyio.sleep(0.2)
        side.begin("a", 2)
        resume = slow(side)
        await until(lambda: first.state == "writing")
        side.begin("a", 3)  # waits behind the first, so it goes to disk at once; the second is in memory only
        resume()
        await side.settled()
    async with process(tmp_path, spill_after=0.3) as side:
        link = await side.up(PlayedLink(code=0))
        await side.settled()
        await side.settled()
        assert [number for _, number in link.sent] == [1, 2, 3]
