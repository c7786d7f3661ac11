"""One file, written in group commits; and what happens to it while it is in use."""

import logging
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from purista_fast import BridgeError
from purista_fast.storage import database as module
from purista_fast.storage import outbox, schema
from purista_fast.storage.clock import PoweredClock
from purista_fast.storage.damage import open_or_recover
from purista_fast.storage.database import Database, StorageError
from tests.patience import patient
from tests.unit.disks import Disk
from tests.unit.stores import make, message, new, opened, row

pytestmark = pytest.mark.anyio


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "node").mkdir(mode=0o700)
    return tmp_path / "node" / "messages.db"


@asynccontextmanager
async def running(file: Path, trust: Any = "never") -> AsyncIterator[Database]:
    database = Database(file, PoweredClock(trust))
    async with anyio.create_task_group() as tasks:
        await database.start(tasks)
        try:
            yield database
        finally:
            await database.close()


def adds(number: int, size: int = 0) -> Callable[[sqlite3.Connection], int]:
    def work(db: sqlite3.Connection) -> int:
        outbox.insert(db, [outbox.Row("reading", message(number, text="x" * size), PoweredClock().now())])
        return number

    return work


def numbers(file: Path) -> list[int]:
    """What another process sees."""
    with opened(file) as db:
        return [seq for (seq,) in db.execute("SELECT seq FROM outbox ORDER BY seq")]


def modes(folder: Path) -> set[int]:
    return {path.stat().st_mode & 0o777 for path in folder.iterdir()}


def all_rows(db: sqlite3.Connection) -> list[int]:
    return [seq for (seq,) in db.execute("SELECT seq FROM outbox ORDER BY seq")]


# --- group commits


async def test_many_share_a_commit_and_are_told_in_order(file: Path) -> None:
    async with running(file) as database:
        told: list[int | None] = []
        before = database.commits
        for number in range(100):
            database.submit(adds(number), lambda result, error: told.append(result))
        await database.run(lambda db: None)
        assert told == list(range(100))
        assert database.commits - before < 10
        assert len(numbers(file)) == 100


async def test_one_that_fails_undoes_itself_alone(file: Path) -> None:
    def fails(db: sqlite3.Connection) -> None:
        adds(999)(db)
        raise ValueError("no")

    async with running(file) as database:
        told: list[Any] = []
        for number in range(3):
            database.submit(adds(number), lambda result, error: told.append(result))
        database.submit(fails, lambda result, error: told.append(error))
        for number in range(3, 6):
            database.submit(adds(number), lambda result, error: told.append(result))
        await database.run(lambda db: None)
        failure = told.pop(3)
        assert isinstance(failure, StorageError)
        assert int(failure.status) == 503
        assert str(failure).endswith(f"it could not be kept on disk: {file}: no")
        assert told == list(range(6))
        assert len(numbers(file)) == 6
        assert database.failures == 1


async def test_what_is_done_is_on_disk_when_it_is_told(file: Path) -> None:
    async with running(file) as database:
        for number in range(1, 6):
            await database.run(adds(number))
            assert numbers(file) == list(range(1, number + 1))


async def test_what_one_does_when_told_comes_after(file: Path) -> None:
    async with running(file) as database:
        order: list[str] = []

        def first(_: object, error: object) -> None:
            order.append("first")
            database.submit(lambda db: order.append("third"), lambda _result, _error: None)

        database.submit(lambda db: None, first)
        database.submit(lambda db: order.append("second"), lambda _result, _error: None)
        await database.run(lambda db: None)
        await database.run(lambda db: None)
        assert [step for step in order if step != "second"] == ["first", "third"]


async def test_a_closed_one_says_so(file: Path) -> None:
    async with running(file) as database:
        await database.run(adds(1))
        database.submit(adds(2), lambda _result, _error: None)
    with pytest.raises(StorageError, match="it is closed"):
        await database.run(adds(3))
    assert numbers(file) == [1, 2], "what was submitted before is written"
    assert sorted(path.name for path in file.parent.iterdir()) == ["messages.db", "reserve"]


async def test_a_cancelled_group_answers_everybody(file: Path) -> None:
    told: list[Any] = []
    database = Database(file, PoweredClock())
    async with anyio.create_task_group() as tasks:
        await database.start(tasks)
        for number in range(50):
            database.submit(adds(number), lambda result, error: told.append(error))
        tasks.cancel_scope.cancel()
    assert len(told) == 50
    assert len(numbers(file)) == told.count(None)


async def test_rights_of_all_files(file: Path) -> None:
    old = os.umask(0)
    try:
        async with running(file) as database:
            await database.run(adds(1))
            assert {path.name for path in file.parent.iterdir()} >= {"messages.db", "messages.db-wal", "reserve"}
            assert modes(file.parent) == {0o600}
    finally:
        os.umask(old)


async def test_another_process_is_noticed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK", 0.01)
    async with running(file) as database, anyio.create_task_group() as tasks:
        changed = anyio.Event()
        tasks.start_soon(database.watch, changed.set)
        await database.run(adds(1))
        await anyio.sleep(0.1)
        assert not changed.is_set(), "its own changes are none"
        with opened(file) as db:
            adds(2)(db)
        with anyio.fail_after(patient(10)):
            await changed.wait()
        tasks.cancel_scope.cancel()


# --- powered time


async def test_powered_time_goes_on_over_restarts(file: Path) -> None:
    async with running(file) as database:
        database.clock.resume(5000.0, 0.0, "another boot")
        await database.run(adds(1))
        powered = database.clock.now().powered
    async with running(file) as database:
        assert powered <= database.clock.now().powered < powered + 60
    with opened(file) as db:
        kept = schema.get(db, "powered")
        schema.put(db, "boot_id", "yet another boot")
        schema.put(db, "since_boot", 1e12)
    assert isinstance(kept, float)
    async with running(file) as database:
        assert database.clock.now().powered >= kept


async def test_reading_writes_nothing(file: Path) -> None:
    async with running(file) as database:
        await database.run(adds(1))
        size = file.with_name("messages.db-wal").stat().st_size
        for _ in range(5):
            await database.run(all_rows)
        assert file.with_name("messages.db-wal").stat().st_size == size


# --- a lock


async def test_another_writer_is_waited_for_and_then_told(file: Path) -> None:
    async with running(file) as database:
        await database.run(adds(1))
        locked, release = threading.Event(), threading.Event()

        def hold() -> None:
            with opened(file) as db:
                db.execute("BEGIN IMMEDIATE")
                locked.set()
                release.wait(patient(30))
                db.execute("ROLLBACK")

        holder = threading.Thread(target=hold)
        holder.start()
        await anyio.to_thread.run_sync(locked.wait)
        with pytest.raises(StorageError, match="database is locked"):
            await database.run(adds(2))
        release.set()
        holder.join()
        await database.run(adds(3))
        assert len(numbers(file)) == 2


# --- a disk that is full


async def fill_up(database: Database, size: int) -> tuple[int, StorageError]:
    """Adds rows until that fails; how many there are, and how it failed."""
    for number in range(10_000):
        try:
            await database.run(adds(number, size))
        except StorageError as error:
            return number, error
    raise AssertionError("the disk is not full")


async def test_a_full_disk_is_an_error_and_can_be_emptied(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    file = disk.folder / "messages.db"
    async with running(file) as database:
        kept, failure = await fill_up(database, 2000)
        assert int(failure.status) == 507
        assert "database or disk is full" in str(failure)
        assert kept > 100
        disk.fill()
        for _ in range(3):
            with pytest.raises(StorageError):
                await database.run(adds(0, 2000))
        assert (disk.folder / "reserve").exists(), "what adds does not take what is reserved for what frees"
        rows = await database.run(all_rows)
        assert len(rows) == kept, "nothing that was kept is lost, nothing else is there"
        for start in range(0, len(rows), 50):
            await database.run(lambda db, part=rows[start : start + 50]: outbox.delete(db, part), frees=True)
        assert await database.run(all_rows) == []
        disk.free()
        await database.run(lambda db: outbox.delete(db, [1]), frees=True)
        await database.run(adds(1))
    async with running(file) as database:
        assert len(await database.run(all_rows)) == 1
        assert (disk.folder / "reserve").stat().st_size > 1024 * 1024, "the reserve comes back"


async def test_deletes_and_adds_together_on_a_full_disk(disk: Disk) -> None:
    """In one batch, those that make room succeed, and then there is room for the others, or they are told."""
    file = disk.folder / "messages.db"
    async with running(file) as database:
        await fill_up(database, 4000)
        rows = await database.run(all_rows)
        disk.fill()
        told: list[Any] = []
        database.submit(adds(2, 4000), lambda result, error: told.append(error))
        database.submit(lambda db: outbox.delete(db, rows[:50]), lambda result, error: told.append(error), frees=True)
        await database.run(lambda db: None)
        assert isinstance(told[0], StorageError)
        assert told[1] is None
        assert len(await database.run(all_rows)) == len(rows) - 50


async def test_a_start_on_a_full_disk(disk: Disk) -> None:
    file = disk.folder / "messages.db"
    async with running(file) as database:
        for number in range(20):
            await database.run(adds(number, 2000))
    disk.fill()
    async with running(file) as database:
        rows = await database.run(all_rows)
        assert len(rows) == 20
        await database.run(lambda db: outbox.delete(db, rows), frees=True)
        assert await database.run(all_rows) == []


async def test_a_damaged_file_on_a_full_disk(disk: Disk) -> None:
    """What is reserved is enough for a small one."""
    file = disk.folder / "messages.db"
    async with running(file) as database:
        for number in range(20):
            await database.run(adds(number, 2000))
    damage(file)
    disk.fill()
    async with running(file) as database:
        assert database.damage is not None
        assert len(await database.run(all_rows)) == 20


def damage(file: Path) -> None:
    with file.open("r+b") as out:
        out.write(bytes(100))


async def test_a_new_file_on_a_full_disk_is_a_clear_error(disk: Disk) -> None:
    disk.fill()
    with pytest.raises(BridgeError, match=r"messages\.db cannot be used: .* free the disk"):
        Database(disk.folder / "messages.db", PoweredClock()).open()


# --- a disk that is read-only


async def test_a_disk_that_becomes_read_only_is_an_error_until_it_is_not(disk: Disk) -> None:
    """What is in use keeps a real disk from being remounted; one that has failed is read-only all the same."""
    file = disk.folder / "messages.db"
    async with running(file):
        pass
    with disk.read_only(), pytest.raises(BridgeError, match=r"messages\.db cannot be used: .*Read-only file system"):
        Database(file, PoweredClock()).open()
    async with running(file) as database:
        await database.run(adds(1))


async def test_an_error_of_the_disk_is_told_and_passes(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(db: sqlite3.Connection) -> None:
        adds(5)(db)
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
        raise error

    async with running(file) as database:
        with pytest.raises(StorageError, match="disk I/O error") as failure:
            await database.run(breaks)
        assert int(failure.value.status) == 503
        await database.run(adds(1))
        assert len(await database.run(all_rows)) == 1


# --- a file that goes


async def test_a_file_that_is_removed_comes_back_with_all_it_held(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(file) as database:
        for number in range(20):
            await database.run(adds(number))
        for path in (file, file.with_name("messages.db-wal"), file.with_name("messages.db-shm")):
            path.unlink()
        await database.run(adds(20))
        assert len(numbers(file)) == 21
        assert "was removed while it was in use" in caplog.text
        assert modes(file.parent) == {0o600}
    assert len(numbers(file)) == 21
    assert sorted(path.name for path in file.parent.iterdir()) == ["messages.db", "reserve"]


async def test_a_folder_that_is_removed_comes_back(file: Path) -> None:
    async with running(file) as database:
        await database.run(adds(1))
        shutil.rmtree(file.parent)
        await database.run(adds(2))
        assert len(numbers(file)) == 2
        assert file.parent.stat().st_mode & 0o777 == 0o700
    assert len(numbers(file)) == 2


async def test_a_file_that_is_exchanged_is_not_written_to_blindly(file: Path, tmp_path: Path) -> None:
    async with running(file) as database:
        await database.run(adds(1))
        make(tmp_path / "other" / "messages.db", row(7), row(8)).replace(file)
        await database.run(adds(2))
        assert len(await database.run(all_rows)) == 2
        assert len(numbers(file)) == 2


async def test_a_folder_that_cannot_be_made_again_is_an_error(file: Path) -> None:
    async with running(file) as database:
        await database.run(adds(1))
        shutil.rmtree(file.parent)
        file.parent.write_text("in the way")
        with pytest.raises(StorageError):
            await database.run(adds(2))
        file.parent.unlink()
        await database.run(adds(3))
        assert len(numbers(file)) == 2


# --- damage


async def test_damage_is_logged_and_the_rows_are_there(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    make(file, row(1))
    damage(file)
    with caplog.at_level(logging.ERROR):
        async with running(file) as database:
            assert await database.run(all_rows) == [1]
            assert database.damage is not None
    assert "1 of outbox; the damaged file is kept as " in caplog.text


def test_a_folder_in_the_place_of_the_file(file: Path) -> None:
    file.mkdir()
    with pytest.raises(BridgeError, match=r"messages\.db cannot be used: .*Is a directory"):
        Database(file, PoweredClock()).open()


# --- kill -9

WRITER = """
import os, sqlite3, sys
from pathlib import Path
from purista_fast.storage import outbox
from purista_fast.storage.clock import PoweredClock
from purista_fast.storage.database import Database

database = Database(Path(sys.argv[1]), PoweredClock())
database.open()
number = int(sys.argv[2])
while True:
    size = number % 7 * 900
    work = lambda db: outbox.insert(db, [outbox.Row("reading", b"%d %s" % (number, b"x" * size), database.clock.now())])
    results = database._transaction([type("Operation", (), {"work": staticmethod(work), "frees": False})])
    os.write(1, b"%d\\n" % number)
    number += 1
"""


def test_everything_whose_commit_returned_outlives_a_kill(file: Path) -> None:
    confirmed: list[int] = []
    for round_ in range(8):
        start = confirmed[-1] + 1000 if confirmed else 0
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(file), str(start)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        with writer.stdout as out:
            confirmed += [int(out.readline()) for _ in range(20 + 37 * round_)]
            writer.send_signal(signal.SIGKILL)
            confirmed += [int(line) for line in out.read().split()]
        writer.wait()
        db, damaged = open_or_recover(file) if round_ % 2 else (schema.connect(file), None)
        with closing(db):
            assert damaged is None
            rows, _, broken = outbox.load(db, 0, 1 << 30)
        assert not broken
        found = [int(one.message.split()[0]) for one in rows]
        # One more may be there, whose confirmation did not get out.
        assert set(confirmed) <= set(found)
        assert len(found) <= len(confirmed) + round_ + 1
        assert found == sorted(found)


def test_new_files_are_all_different(tmp_path: Path) -> None:
    stores = set()
    for number in range(5):
        with closing(new(tmp_path / str(number) / "messages.db")) as db:
            stores.add(schema.get(db, "store"))
    assert len(stores) == 5
