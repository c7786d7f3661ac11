"""What a review has found on the way in: the spool and its subscriptions on a link that is played."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from purista_fast._core import Address, Message, encode
from purista_fast.bridges.base import Consumer, Gathering
from purista_fast.bridges.mqtt.intake import Intake
from purista_fast.bridges.mqtt.publisher import Publisher
from purista_fast.bridges.mqtt.state import State
from purista_fast.bridges.mqtt.store import Store
from purista_fast.bridges.mqtt.subscriptions import Interest
from purista_fast.bridges.mqtt.together import run_all
from purista_fast.bridges.workers import Workers
from purista_fast.config import load
from purista_fast.policy import Batch, Retry
from purista_fast.storage import spool as table
from tests.broker.helpers import until
from tests.broker.test_acknowledgement import PlayedLink

pytestmark = pytest.mark.anyio
SENDER = Address("Test", "1", "here", "node")


class Side:
    def __init__(self, folder: Path, *, retries: dict[str, Any] | None = None, **options: Any) -> None:
        self.workers = Workers(self._run, run_all=self._run_all)
        settings = load(None, environ={}, overrides={"retries": retries or {}})
        publisher = Publisher(max_packet_size=10_000, where="the broker")
        self.store = Store(settings, State(folder, "node"), publisher, self.workers, Intake("purista"), lambda _e: None)
        self.events, self.spool = self.store.events, self.store.spool
        self.taken: list[str] = []
        self.gates: dict[str, anyio.Event] = {}
        self.failing: dict[str, int] = {}
        (folder / "node").mkdir(exist_ok=True)
        self.file = folder / "node" / "messages.db"
        consumer = Consumer(
            address=Address("Watch", "1", "one", "node"),
            subscription={"eventName": "happened"},
            message_types=("customMessage",),
            handle=self._handle,
            **options,
        )
        interest = Interest(consumer, self.workers.add(consumer, 1000), "purista")
        self.events.table.add(interest)
        self.spool.add(interest)
        self.lane = self.spool._by_label["Watch/1/one"]
        self._mid = 0

    async def _handle(self, message: Message) -> None:
        number = message.id or ""
        self.taken.append(number)
        if number in self.gates:
            await self.gates[number].wait()
        if self.failing.get(number, 0):
            self.failing[number] -= 1
            raise ValueError(number)

    async def _run(self, consumer: Consumer, item: Any) -> None:
        await self.spool.attempts.run(consumer, item, lambda *_: None)

    async def _run_all(self, consumer: Consumer, items: list[Any]) -> None:
        await run_all(self.spool.attempts, consumer, items, lambda *_: None)

    def come(self, link: PlayedLink, number: str, *, dup: bool = False) -> int:
        self._mid += 1
        message = Message("customMessage", sender=SENDER, event_name="happened", id=number, payload=b"1")
        arrived = SimpleNamespace(
            topic=message.topic(),
            payload=encode(message),
            qos=1,
            mid=self._mid,
            dup=dup,
            identifiers=tuple(self.events.table.filters.values()),
            refusal=None,
        )
        self.events.arrived(link, arrived)  # type: ignore[arg-type]
        return self._mid

    async def settled(self) -> None:
        for _ in range(3):
            await self.store.database.run(lambda _db: None)
            await anyio.wait_all_tasks_blocked()


@asynccontextmanager
async def process(folder: Path, **options: Any) -> Any:
    async with anyio.create_task_group() as tasks:
        side = Side(folder, **options)
        await side.store.open(tasks)
        side.workers.start(tasks)
        side.store.start(tasks)
        yield side
        await side.store.close()
        tasks.cancel_scope.cancel()


def message_of(number: str) -> bytes:
    return encode(Message("customMessage", sender=SENDER, event_name="happened", id=number, payload=b"1"))


async def test_s1_what_another_process_adds_is_seen_although_something_younger_came(tmp_path: Path) -> None:
    """As ``purista-fast dead-letters redrive`` does, between two looks."""
    async with process(tmp_path) as side:
        link = PlayedLink()
        with closing(sqlite3.connect(side.file, isolation_level=None)) as db:
            table.insert(db, [table.Entry("Watch/1/one", message_of("redriven"), again=True)])
        side.failing["b"] = 1
        side.come(link, "b")  # fails, and goes to disk with a higher number
        await until(lambda: side.spool.statistics()["waiting_for_retry"] == 1)
        side.spool.changed()
        await side.settled()
        await until(lambda: "redriven" in side.taken)


async def test_s1_order_and_handling_after_that(tmp_path: Path) -> None:
    async with process(tmp_path) as side:
        link = PlayedLink()
        with closing(sqlite3.connect(side.file, isolation_level=None)) as db:
            table.insert(db, [table.Entry("Watch/1/one", message_of("redriven"), again=True)])
        side.come(link, "b", dup=True)  # parked
        await until(lambda: "b" in side.taken)
        side.spool.changed()
        await side.settled()
        for number in "cde":
            side.come(link, number)
            await side.settled()
        assert [number for number in side.taken if number in "cde"] == ["c", "d", "e"], f"behind: {side.lane.behind}"


async def test_s2_a_disk_that_cannot_be_read_is_asked_from_time_to_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with process(tmp_path) as side:
        link = PlayedLink()
        side.gates["a"] = anyio.Event()
        side.come(link, "a", dup=True)
        await until(lambda: side.taken == ["a"])
        works = table.load

        def broken(*_args: Any, **_options: Any) -> Any:
            raise sqlite3.OperationalError("attempt to write a readonly database")

        table.load = broken  # type: ignore[assignment]
        try:
            with caplog.at_level(logging.ERROR):
                side.lane.behind += 1
                side.spool.feed(side.lane)
                await anyio.sleep(0.5)
        finally:
            table.load = works
            side.lane.behind -= 1
            side.gates["a"].set()
        assert len([record for record in caplog.records if "cannot be read" in record.message]) < 5


async def test_s3_deduplication_with_concurrency(tmp_path: Path) -> None:
    async with process(tmp_path, deduplicate=True, concurrency=2) as side:
        link = PlayedLink()
        side.gates["a"] = anyio.Event()
        side.come(link, "a")
        side.come(link, "a")
        await side.settled()
        side.gates["a"].set()
        await side.settled()
        assert side.taken == ["a"]


async def test_s3_deduplication_when_the_first_attempt_fails(tmp_path: Path) -> None:
    async with process(tmp_path, deduplicate=True, retry=Retry(base=0.1, jitter=0.0)) as side:
        link = PlayedLink()
        side.failing["a"] = 1
        side.come(link, "a")
        side.come(link, "a")
        await until(lambda: side.taken == ["a", "a"])  # failed, and handled
        await until(lambda: side.spool.statistics()["messages"] == 0)
        assert side.taken == ["a", "a"], "handled twice"


async def test_s4_pace_is_kept_for_what_was_under_way_at_the_reconnect(tmp_path: Path) -> None:
    async with process(tmp_path, retries={"ack_within": 0.1}) as side:
        old, new = PlayedLink(), PlayedLink()
        side.gates["a"] = anyio.Event()
        side.come(old, "a")
        old.is_up = False
        await side.events.up(new)
        await anyio.sleep(0.3)  # nothing is there for a while
        mid = side.come(new, "a", dup=True)
        await anyio.sleep(0.05)
        second = side.come(new, "b")
        try:
            await until(lambda: new.acknowledged == [mid, second])
        finally:
            side.gates["a"].set()
        assert side.taken[0] == "a"


async def test_s5_attempts_of_a_blocking_subscription_count_over_an_orderly_restart(tmp_path: Path) -> None:
    retry = Retry(attempts=3, base=0.2, jitter=0.0, block=True)
    async with process(tmp_path, retry=retry) as side:
        link = PlayedLink()
        side.failing["a"] = 9
        side.come(link, "a", dup=True)  # by way of the disk
        await until(lambda: len(side.taken) == 2)
        side.spool.attempts.leave()
        await side.settled()
    with closing(sqlite3.connect(side.file)) as db:
        assert db.execute("SELECT attempts FROM spool").fetchall() == [(2,)]


async def test_s6_a_dead_letter_that_waits_for_the_disk_is_one(tmp_path: Path) -> None:
    async with process(tmp_path, retry=Retry(attempts=1), retries={"ack_within": 0.2}) as side:
        link = PlayedLink()
        from purista_fast.storage import dead_letters

        works = dead_letters.insert

        def broken(*_args: Any, **_options: Any) -> Any:
            raise sqlite3.OperationalError("disk I/O error")

        dead_letters.insert = broken  # type: ignore[assignment]
        try:
            side.failing["a"] = 9
            side.come(link, "a")
            await until(lambda: link.acknowledged)
        finally:
            dead_letters.insert = works
        await until(lambda: side.store.statistics()["dead_letters"]["messages"] == 1)
        await side.settled()
        rows = await side.store.database.run(lambda db: db.execute("SELECT * FROM spool").fetchall())
        assert rows == [], "it would be a dead letter again after the next start"


def gathered(entered: list[list[str]], gate: anyio.Event, most: int = 2) -> Gathering:
    async def handle(messages: Sequence[Message], payloads: list[Any]) -> None:
        entered.append(payloads)
        await gate.wait()

    return Gathering(batch=Batch(most, within=20.0), read=lambda message: message.id, handle=handle)


async def test_a_batch_that_ends_while_it_moves_to_disk_leaves_nothing_there(tmp_path: Path) -> None:
    entered: list[list[str]] = []
    gate = anyio.Event()
    async with process(tmp_path, gathering=gathered(entered, gate)) as side:
        link = PlayedLink()
        mids = [side.come(link, number) for number in "ab"]
        await until(lambda: entered == [["a", "b"]])
        side.spool.move(next(iter(side.lane.items)).delivery)
        gate.set()
        await until(lambda: link.acknowledged == mids)
        await side.settled()
        with closing(sqlite3.connect(side.file)) as db:
            assert db.execute("SELECT count(*) FROM spool").fetchone() == (0,)
        assert side.spool.statistics()["messages"] == 0
        assert entered == [["a", "b"]]


async def test_a_batch_in_the_making_that_moves_to_disk_is_handled_once(tmp_path: Path) -> None:
    entered: list[list[str]] = []
    gate = anyio.Event()
    gate.set()
    async with process(tmp_path, gathering=gathered(entered, gate, 3)) as side:
        link = PlayedLink()
        for number in "ab":
            side.come(link, number)
        await side.settled()
        side.spool.move(next(iter(side.lane.items)).delivery)
        side.come(link, "c")
        await side.settled()
        side.workers.hurry()
        await until(lambda: [number for batch in entered for number in batch] == ["a", "b", "c"])
        await side.settled()
        assert side.spool.statistics()["messages"] == 0


async def test_a_batch_is_acknowledged_on_the_connection_that_there_is(tmp_path: Path) -> None:
    entered: list[list[str]] = []
    gate = anyio.Event()
    async with process(tmp_path, gathering=gathered(entered, gate)) as side:
        before, after = PlayedLink(), PlayedLink()
        for number in "ab":
            side.come(before, number)
        await until(lambda: entered == [["a", "b"]])
        mids = [side.come(after, number, dup=True) for number in "ab"]
        assert after.acknowledged == []
        gate.set()
        await until(lambda: after.acknowledged == mids)
        assert (before.acknowledged, entered) == ([], [["a", "b"]])
