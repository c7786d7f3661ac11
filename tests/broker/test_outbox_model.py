"""Long random sequences against the outbox, checked against a naive twin: what the broker has taken."""

from __future__ import annotations

import os
import random
import sqlite3
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from purista_fast import UnhandledError
from purista_fast.policy import Keeping
from tests.broker.helpers import until
from tests.broker.test_outbox_played import DISK, PLAIN, Broker, PlayedLink, Side

pytestmark = pytest.mark.anyio
ROUNDS = int(os.environ.get("MODEL_ROUNDS", "1"))
"""How many sequences of each kind; more find more."""
KINDS: dict[str, Keeping] = {"a": PLAIN, "b": DISK, "c": PLAIN}


class Twin(Broker):
    """Everything that was taken, and what is known still after it lost its memory."""

    def __init__(self) -> None:
        super().__init__()
        self.ever: list[tuple[str, int]] = []
        self.known: list[tuple[str, int]] = []
        self._saved: tuple[list[Any], bytes | None] = ([], None)

    def save(self) -> None:
        self._saved = (list(self.known), self.marker)

    def rewind(self) -> None:
        self.known, self.marker = list(self._saved[0]), self._saved[1]


class Link(PlayedLink):
    def answer(self, mid: int, code: int | None = None) -> None:
        payload, what = self.open[mid]
        if payload is None and (code or self.code or 0) in (0, 0x10):
            self.broker.ever.append(what)  # type: ignore[attr-defined]
            self.broker.known.append(what)  # type: ignore[attr-defined]
        super().answer(mid, code)

    def take_without_answer(self) -> None:
        """The broker takes it, and its answer is lost."""
        for payload, what in list(self.open.values()):
            if payload is None:
                self.broker.ever.append(what)  # type: ignore[attr-defined]
                self.broker.known.append(what)  # type: ignore[attr-defined]
            elif payload:
                self.broker.marker = payload
        self.open.clear()


class Driver:
    def __init__(self, folder: Path, dice: random.Random, *, refuses: bool, breaks: bool, restarts: bool) -> None:
        self.folder, self.dice = folder, dice
        self.refuses, self.breaks, self.restarts = refuses, breaks, restarts
        self.broker = Twin()
        self.link: Link | None = None
        self.numbers = dict.fromkeys(KINDS, 0)
        self.confirmed: list[tuple[str, int]] = []
        self.failed: set[tuple[str, int]] = set()
        self.cancelled: set[tuple[str, int]] = set()
        self.broken = False
        self.log: list[str] = []

    async def open(self, tasks: Any) -> None:
        self.side = Side(self.folder, tasks, spill_after=0.05, hold=100.0)
        self.side.tasks = tasks
        attempt = self.side.database._attempt

        def unreliable(batch: Any) -> Any:
            if self.broken:
                raise sqlite3.OperationalError("disk I/O error")
            return attempt(batch)

        self.side.database._attempt = unreliable  # type: ignore[method-assign]
        await self.side.open()

    async def emit(self, name: str, number: int, cancel_after: float | None) -> None:
        what = (name, number)
        try:
            with anyio.move_on_after(cancel_after) as scope:
                await self.side.outbox.emit(self.side.message(name, number), KINDS[name], None)
                self.confirmed.append(what)
                return
            if scope.cancelled_caught:
                self.cancelled.add(what)
        except UnhandledError:
            self.failed.add(what)
        except anyio.get_cancelled_exc_class():
            self.cancelled.add(what)
            raise

    async def step(self, tasks: Any) -> None:
        dice, side = self.dice, self.side
        choice = dice.choice(
            ["emit"] * 8
            + ["ack"] * 6
            + ["nack"] * 2 * self.refuses
            + ["cut"] * 2
            + ["up"] * 3
            + ["rewind", "save", "save"]
            + ["wait"] * 4
            + ["disk"] * self.breaks
            + ["changed"]
            + ["cancel"]
        )
        self.log.append(choice)
        link = self.link
        if choice in ("emit", "cancel"):
            name = dice.choice(list(KINDS))
            for _ in range(dice.randint(1, 4)):
                self.numbers[name] += 1
                after = dice.random() * 0.1 if choice == "cancel" else None
                tasks.start_soon(self.emit, name, self.numbers[name], after)
                await anyio.wait_all_tasks_blocked()  # trio starts tasks in any order
        elif choice in ("ack", "nack") and link is not None and link.is_up:
            for _ in range(dice.randint(1, 6)):
                if not link.open:
                    break
                code = 0 if choice == "ack" else dice.choice([0x97, 0x10, 0x97, 0])
                link.answer(next(iter(link.open)), code)
        elif choice == "cut" and link is not None and link.is_up:
            if dice.random() < 0.3:
                link.take_without_answer()
            link.cut()
        elif choice == "up" and (link is None or not link.is_up):
            self.link = Link(self.broker, receive_maximum=dice.choice([1, 3, 20, 1000]))
            await side.up(self.link)
        elif choice == "rewind" and link is not None:
            link.cut()
            self.broker.rewind()
        elif choice == "save":
            self.broker.save()
        elif choice == "wait":
            await anyio.sleep(dice.random() * 0.08)
        elif choice == "disk":
            self.broken = not self.broken
        elif choice == "changed":
            side.outbox.changed()
        if dice.random() < 0.5:
            await anyio.lowlevel.checkpoint()

    async def run(self) -> None:
        for _ in range(3 if self.restarts else 1):
            async with anyio.create_task_group() as tasks:
                await self.open(tasks)
                async with anyio.create_task_group() as emitters:
                    for _ in range(60):
                        await self.step(emitters)
                    self.broken = False
                    if self.restarts:
                        await anyio.sleep(0.1)
                        emitters.cancel_scope.cancel()
                if self.link is not None:
                    self.link.cut()
                await self.side.outbox.stop()
                await self.side.database.close()
                tasks.cancel_scope.cancel()
            self.link = None
        await self.end()

    async def end(self) -> None:
        async with anyio.create_task_group() as tasks:
            await self.open(tasks)
            side = self.side
            self.link = Link(self.broker, code=0)
            side.outbox._settling._up_at = -100.0
            await side.up(self.link)
            await until(lambda: side.outbox.statistics()["messages"] == side.outbox.statistics()["held"])
            await side.settled()
            self.check()
            rows = await side.rows()
            assert len(rows) == side.outbox.statistics()["messages"], "room drifts"
            await side.outbox.stop()
            await side.database.close()
            tasks.cancel_scope.cancel()

    def check(self) -> None:
        backlog = self.side.outbox.backlog
        assert self.side.outbox.statistics()["messages"] == self.side.outbox.statistics()["held"], "stuck"
        assert not any(backlog._waiting.values()), backlog._waiting
        assert not backlog.posted
        assert not +backlog._expected
        assert self.side.outbox._room._coming == [0, 0]
        ever, known = set(self.broker.ever), set(self.broker.known)
        lost = [what for what in self.confirmed if what not in ever]
        assert not lost, f"confirmed and never sent: {lost}"
        lost = [what for what in self.confirmed if KINDS[what[0]] is DISK and what not in known]
        assert not lost, f"lost with the broker's memory: {lost}"
        if not self.refuses:
            for name in KINDS:
                # What failed, or was given up, may have been sent at any time.
                order = [w for w in dict.fromkeys(self.broker.ever) if w[0] == name and w in set(self.confirmed)]
                assert order == sorted(order), f"order of {name}: {[n for _, n in order]}"


@pytest.mark.parametrize("seed", range(ROUNDS))
@pytest.mark.parametrize("kind", ["calm", "refusing", "breaking", "restarting", "all"])
async def test_random(tmp_path: Path, kind: str, seed: int) -> None:
    driver = Driver(
        tmp_path,
        random.Random(f"{kind}{seed}"),
        refuses=kind in ("refusing", "all"),
        breaks=kind in ("breaking", "all"),
        restarts=kind in ("restarting", "all"),
    )
    await driver.run()
