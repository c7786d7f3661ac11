"""Disks that are full, read-only, broken or gone, and a damaged file: an error to the caller, never silence."""

from __future__ import annotations

import errno
import random
import shutil
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.faults.lab.bench import Bench, until
from tests.faults.lab.disk import DAMAGES, SmallDisk
from tests.faults.lab.processes import Program
from tests.faults.lab.shims import BreakingDisk
from tests.faults.rounds import backend, rounds
from tests.faults.settings import outbox
from tests.faults.table import Table

SUBJECT = "disk"
ON_DISK = outbox("disk")


@pytest.fixture
def small(bench: Bench) -> Iterator[SmallDisk]:
    with ExitStack() as stack:
        disk = SmallDisk(bench.state_of("edge_1"))
        stack.callback(disk.close)
        yield disk


def failures(emitter: Program) -> dict[str, int]:
    counts: dict[str, dict[str, int]] = emitter.ask("counts")
    return counts["failed"]


def until_it_fails(emitter: Program) -> None:
    before = sum(failures(emitter).values())
    until(lambda: sum(failures(emitter).values()) > before, 30, "an emit that fails")


def finish(bench: Bench, table: Table, case: str, emitter: Program, subscriber: Program, note: str = "") -> None:
    bench.heal()
    bench.until_confirmed(20)
    emitter.ask("halt")
    emitter.wait_for("done")
    verdict = bench.oracle().wait(patience=25)
    failed = failures(emitter)
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    told = ", ".join(f"{count} x {status}" for status, count in sorted(failed.items()))
    table.add(SUBJECT, case, verdict, note="; ".join(filter(None, [note, told and f"refused: {told}"])))


def test_full_of_its_own_messages(bench: Bench, table: Table, small: SmallDisk) -> None:
    """4 MiB, and no broker: it fills with messages until there is no room; space is free again when they are gone."""
    broker = bench.start_broker()
    subscriber = bench.subscriber()
    emitter = bench.emitter(tasks=8, size=4000, sections=outbox("disk", hold="2s"), environment=small.environment)
    emitter.wait_for("first")
    broker.stop()
    if not small.is_real:
        small.fill()
    until_it_fails(emitter)
    if not small.is_real:
        small.free()
    broker.start()
    finish(bench, table, "4 MiB full of its own messages", emitter, subscriber)


def test_full_by_others(bench: Bench, table: Table, small: SmallDisk) -> None:
    bench.start_broker()
    subscriber = bench.subscriber()
    emitter = bench.emitter(tasks=8, size=1000, rate=300, sections=ON_DISK, environment=small.environment)
    emitter.wait_for("first")
    small.fill()
    until_it_fails(emitter)
    small.free()
    finish(bench, table, "full by other programs", emitter, subscriber)


def test_read_only_from_the_start(bench: Bench, table: Table, small: SmallDisk) -> None:
    """Either it does not start, and says why, or its emits fail."""
    bench.start_broker()
    subscriber = bench.subscriber()
    small.read_only(True)
    try:
        emitter = bench.emitter(tasks=2, rate=50, sections=ON_DISK, environment=small.environment, wait=False)
        try:
            emitter.wait_for("ready")
        except AssertionError:
            assert "read-only" in bench.log_of("edge_1").lower(), bench.log_of("edge_1")
            note = "does not start, and says why"
        else:
            until_it_fails(emitter)
            note = "starts, and its emits fail"
            assert emitter.ask("counts")["confirmed"] == 0
            emitter.kill()
    finally:
        small.read_only(False)
    emitter = bench.emitter(tasks=2, rate=50, sections=ON_DISK)
    finish(bench, table, "read-only from the start", emitter, subscriber, note)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO])
def test_breaks_under_open_files(bench: Bench, table: Table, number: int) -> None:
    bench.start_broker()
    subscriber = bench.subscriber()
    disk = BreakingDisk(bench.folder, bench.state_of("edge_1"))
    count = rounds(1, 20)
    emitter = bench.emitter(tasks=8, rate=300, sections=ON_DISK, environment=disk.environment)
    emitter.wait_for("first")
    for _ in range(count):
        disk.fail(number)
        until_it_fails(emitter)
        # Whatever is confirmed while it is broken was never on disk.
        before = emitter.ask("counts")["confirmed"]
        until_it_fails(emitter)
        until_it_fails(emitter)
        assert emitter.ask("counts")["confirmed"] == before
        disk.fail(0)
        bench.heal()
        bench.until_confirmed(20)
    word = {errno.EROFS: "turns read-only", errno.EIO: "breaks (EIO)"}[number]
    finish(bench, table, f"{word} under open files", emitter, subscriber)


def test_removed(bench: Bench, table: Table) -> None:
    """Somebody deletes the folder: what is confirmed after that must survive a kill -9 all the same."""
    broker = bench.start_broker()
    subscriber = bench.subscriber()
    emitter = bench.emitter(tasks=4, rate=200, sections=ON_DISK)
    emitter.wait_for("first")
    emitter.ask("halt")
    emitter.wait_for("done")
    oracle = bench.oracle()
    until(lambda: oracle.handled == oracle.confirmed, 30, "all handled")
    broker.stop()
    shutil.rmtree(bench.state_of("edge_1"))
    answers = [emitter.ask("one") for _ in range(10)]
    emitter.kill()
    broker.start()
    emitter = bench.emitter(tasks=4, rate=200, sections=ON_DISK)
    note = f"{answers.count(True)} of 10 emits confirmed after it"
    finish(bench, table, "folder removed, then kill -9", emitter, subscriber, note)


UNSEEN = {("torn tail", "messages.db-wal"), ("truncated file", "messages.db-wal")}
"""A log that ends early looks as it does after any crash: nothing is left that could be reported."""


@pytest.mark.parametrize("file", ["messages.db", "messages.db-wal"])
@pytest.mark.parametrize("damage", sorted(DAMAGES))
def test_damaged(bench: Bench, table: Table, damage: str, file: str) -> None:
    """It starts, sends what is still readable, says what is not, and goes on."""
    broker = bench.start_broker()
    subscriber = bench.subscriber()
    count = rounds(1, 6)
    oracle = bench.oracle()
    lost = 0
    for number in range(count):
        emitter = bench.emitter(tasks=8, sections=ON_DISK, size=300, backend=backend(number))
        emitter.wait_for("first")
        broker.stop()
        bench.until_confirmed(300)
        if file == "messages.db":
            # In order, so that all is in the main file.
            emitter.ask("halt")
            emitter.wait_for("done")
            assert emitter.finish() == 0
        else:
            emitter.kill()
        folder = bench.state_of("edge_1") / "Edge" / "edge_1"
        DAMAGES[damage](folder / file, random.Random(number))
        broker.start()
        # What meets nobody is tried again later: longer than the quiet that is waited for below.
        until(lambda: subscriber.ask("statistics")["connected"], 30, "the subscriber is back")
        bench.heal()
        emitter = bench.emitter(tasks=8, sections=ON_DISK, count=20)
        emitter.wait_for("done")
        oracle.settle(quiet=1.5)
        statistics = emitter.ask("statistics")["outbox"]
        assert emitter.finish() == 0
        verdict = oracle.judge()
        if len(verdict.lost) > lost and (damage, file) not in UNSEEN:
            missing = len(verdict.lost) - lost
            assert "damaged" in bench.log_of("edge_1"), f"{missing} lost, {statistics}: {bench.log_of('edge_1')}"
            # The file, or the rows of it whose bytes are others, which become dead letters.
            assert list(folder.glob("*damaged*")) or statistics["dropped"]["damaged"], statistics
        lost = len(verdict.lost)
    excused = {key for _, key in verdict.lost}
    # What comes out of a damaged file may come late, but whole.
    verdict = bench.oracle(ordered=False).judge(excused=excused)
    assert subscriber.finish() == 0
    note = f"{lost} of {verdict.confirmed} were in what could not be read"
    table.add(SUBJECT, f"{damage} in {file}", verdict, rounds=count, note=note)
