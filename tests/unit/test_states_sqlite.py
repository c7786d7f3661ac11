"""``states.db``: several processes, kill -9, damage, disks that are full or read-only."""

import asyncio
import logging
import os
import random
import sqlite3
import subprocess
import sys
import textwrap
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from purista_fast.storage import states_damage
from purista_fast.storage.clock import Moment, PoweredClock
from purista_fast.storage.database import StorageError
from purista_fast.stores import sqlite as module
from purista_fast.stores.sqlite import SqliteStates
from tests.patience import patient
from tests.unit.disks import Disk

pytestmark = pytest.mark.anyio
INCREMENTS = textwrap.dedent("""
    import sys
    from pathlib import Path
    import anyio
    from purista_fast.storage.clock import PoweredClock
    from purista_fast.stores.sqlite import SqliteStates

    async def main():
        store = SqliteStates(Path(sys.argv[1]), PoweredClock("never"), 1 << 24)
        own = sys.argv[2]
        while True:
            total = await store.increment("s", "total", 1, None)
            while True:
                data = await store.get("s", "compared")
                more = str(int(data or 0) + 1).encode()
                if await store.compare_and_set("s", "compared", data, more, None):
                    break
            print(own, flush=True)

    anyio.run(main, backend=sys.argv[3])
""")


def make(file: Path, max_bytes: int = 1 << 24) -> SqliteStates:
    return SqliteStates(file, PoweredClock("never"), max_bytes)


def begin(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def remove(*files: Path) -> None:
    for file in files:
        file.unlink()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "app" / "states.db"


async def test_processes_that_are_killed_lose_no_increment(file: Path, anyio_backend: str) -> None:
    """Each process confirms by a line; what it had not yet confirmed when it was killed may count or not."""
    confirmed, rounds = 0, 4
    for _ in range(rounds):
        command = [sys.executable, "-c", INCREMENTS, str(file)]
        started = [begin(*command, name, anyio_backend) for name in "ab"]
        counts = [0, 0]
        for index, process in enumerate(started):
            assert process.stdout is not None
            for _ in range(random.randint(3, 12)):
                assert process.stdout.readline() != ""
                counts[index] += 1
        for index, process in enumerate(started):
            process.kill()
            rest, _ = process.communicate()
            confirmed += counts[index] + rest.count("\n")
        store = make(file)
        total, compared = int(await store.get("s", "total") or 0), int(await store.get("s", "compared") or 0)
        await store.close()
        assert confirmed <= compared <= total <= confirmed + 2 * rounds
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_stores_of_one_file_see_each_other(file: Path) -> None:
    one, other = make(file), make(file)
    await one.set("s", "a", b"1", None)
    assert await other.get("s", "a") == b"1"
    await one.close()
    await other.set("s", "a", b"2", None)
    one = make(file)
    assert await one.get("s", "a") == b"2"
    for store in (one, other):
        await store.close()


async def test_a_closed_store_says_so(file: Path) -> None:
    store = make(file)
    await store.close()
    with pytest.raises(StorageError, match=r"503 .*it is closed: the application has stopped"):
        await store.get("s", "a")


async def test_what_waits_goes_to_disk_together(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make(file)
    await store.set("s", "a", b"0", None)
    batches: list[int] = []
    attempt = store._attempt
    monkeypatch.setattr(store, "_attempt", lambda batch: (batches.append(len(batch)), attempt(batch))[1])
    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(store.set, "s", f"n{number}", b"1", None)
    assert sum(batches) == 50
    assert len(batches) <= 3
    await store.close()


async def test_one_that_fails_takes_none_with_it(file: Path) -> None:
    store = make(file)
    await store.set("s", "text", b'"a"', None)
    failed: list[str] = []

    async def fail() -> None:
        try:
            await store.increment("s", "text", 1, None)
        except TypeError as error:
            failed.append(str(error))

    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(store.increment, "s", f"n{number % 2}", 1, None)
            tasks.start_soon(fail)
    assert len(failed) == 10
    assert (await store.get("s", "n0"), await store.get("s", "n1")) == (b"5", b"5")
    await store.close()


async def test_a_caller_that_is_cancelled_leaves_the_file_in_order(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make(file)
    await store.set("s", "a", b"0", None)
    entered, go_on = threading.Event(), threading.Event()
    attempt = store._attempt

    def slowly(batch: list[module._Operation]) -> list[object]:
        entered.set()
        go_on.wait(patient(30))
        return attempt(batch)

    monkeypatch.setattr(store, "_attempt", slowly)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.increment, "s", "a", 1, None)
        await anyio.to_thread.run_sync(entered.wait)
        with anyio.move_on_after(0.01):
            tasks.start_soon(store.increment, "s", "a", 10, None)
            await store.increment("s", "a", 100, None)
        go_on.set()
    monkeypatch.undo()
    assert await store.get("s", "a") == b"11", "the one that was cancelled before it began was left out"
    await store.close()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_asyncio_s_own_cancellation_leaves_the_file_in_order(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not know of shields: the thread runs on, and whoever comes next waits for it."""
    store = make(file)
    await store.set("s", "a", b"0", None)
    entered, go_on = threading.Event(), threading.Event()
    find = module.states.find

    def slowly(db: sqlite3.Connection, service: str, key: str, now: Moment) -> Any:
        entered.set()
        go_on.wait(patient(30))  # within the transaction
        return find(db, service, key, now)

    monkeypatch.setattr(module.states, "find", slowly)
    task = asyncio.create_task(store.increment("s", "a", 1, None))
    await asyncio.to_thread(entered.wait)
    task.cancel()
    others = [asyncio.create_task(store.increment("s", "a", 10, None)) for _ in range(2)]
    await asyncio.sleep(0.05)
    go_on.set()
    await asyncio.gather(*others)
    assert task.cancelled()
    assert await store.get("s", "a") == b"21"
    await store.close()


async def test_what_is_over_is_removed(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PURGE", 0.0)
    store = make(file)
    for number in range(20):
        await store.set("s", f"a{number}", b"1", 0.001)
    await store.set("s", "kept", b"1", 1000.0)
    await anyio.sleep(0.002)
    await store.set("s", "last", b"1", None)
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("SELECT key FROM states ORDER BY key").fetchall() == [("kept",), ("last",)]
    await store.close()


async def test_a_restart_of_the_process_does_not_stop_time(file: Path) -> None:
    store = make(file)
    await store.set("s", "a", b"1", 0.3)
    await store.close()
    store = make(file)
    assert await store.get("s", "a") == b"1"
    await anyio.sleep(0.3)
    assert await store.get("s", "a") is None
    await store.close()


async def test_a_removed_file_is_made_anew(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = make(file)
    await store.set("s", "a", b"1", None)
    remove(*file.parent.iterdir())
    file.parent.rmdir()
    assert await store.get("s", "a") is None
    assert "was removed while it was in use" in caplog.text
    await store.set("s", "a", b"2", None)
    await store.close()
    store = make(file)
    assert await store.get("s", "a") == b"2"
    await store.close()


async def test_a_removed_file_that_another_process_uses(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states_damage, "_PATIENCE", 0.05)
    user, store = make(file), make(file)
    await user.set("s", "a", b"1", None)
    remove(file)
    with pytest.raises(StorageError, match="it was removed, and another process goes on with what was there"):
        await store.get("s", "a")
    await user.set("s", "a", b"2", None)
    assert await store.get("s", "a") == b"2"
    for opened in (user, store):
        await opened.close()


# --- damage


def contents(file: Path) -> bytes:
    return file.read_bytes()


async def filled(file: Path, count: int) -> None:
    store = make(file)
    for number in range(count):
        await store.set("s", f"a{number}", b'"%s"' % (b"%d" % number * 500), 1000.0 if number % 2 else None)
    await store.close()


@pytest.mark.parametrize("damage", ["page", "header", "cut", "log"])
async def test_a_damaged_file_is_set_aside_and_what_can_be_read_is_kept(
    file: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    await filled(file, 60)
    with file.open("r+b") as out:
        size = out.seek(0, os.SEEK_END)
        out.seek(0)
        if damage == "page":
            out.seek(4096 * 10)
            out.write(os.urandom(4096))
        elif damage == "header":
            out.write(b"\xff" * 60)
        elif damage == "cut":
            out.truncate(size // 2 // 4096 * 4096)
        else:
            out.truncate(0)
            file.with_name("states.db-wal").write_bytes(os.urandom(5000))
    store = make(file)
    with caplog.at_level(logging.ERROR):
        await store.set("s", "new", b"1", None)
    assert "states.db was damaged" in caplog.text
    found = [number for number in range(60) if await store.get("s", f"a{number}") is not None]
    for number in found:
        assert await store.get("s", f"a{number}") == b'"%s"' % (b"%d" % number * 500)
    least = {"page": 50, "header": 59, "cut": 15, "log": 0}[damage]
    assert len(found) >= least
    assert len(list(file.parent.glob("states.damaged-*.db"))) == 1
    assert not list(file.parent.glob(".*"))
    await store.close()
    store = make(file)
    assert await store.get("s", "new") == b"1"
    await store.close()


async def test_a_flipped_bit_of_a_value_is_noticed(file: Path) -> None:
    store = make(file)
    await store.set("s", "a", b'"right"', None)
    await store.close()
    with closing(sqlite3.connect(file)) as db:
        db.execute("UPDATE states SET value = CAST('\"wrong\"' AS BLOB)")
        db.commit()
    store = make(file)
    with pytest.raises(StorageError, match="the value of s/a is damaged"):
        await store.get("s", "a")
    assert await store.remove("s", "a")
    assert await store.get("s", "a") is None
    await store.close()


async def test_nobody_repairs_what_another_process_uses(file: Path) -> None:
    await filled(file, 60)
    user = make(file)
    assert await user.get("s", "a1") is not None
    with file.open("r+b") as out:
        out.seek(4096 * 10)
        out.write(os.urandom(4096))
    store = make(file)
    with pytest.raises(StorageError, match=r"it is damaged .*, and other processes use it: .* repairs it$"):
        await store.get("s", "a1")
    await user.close()
    assert await store.get("s", "a1") is not None
    await store.close()


async def test_damage_that_is_met_in_use_is_repaired_by_the_next_use(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await filled(file, 60)
    store = make(file)
    assert await store.get("s", "a1") is not None
    assert store._db is not None
    store._db.execute("PRAGMA cache_size = 0")
    with file.open("r+b") as out:
        out.seek(4096 * 3)
        out.write(b"\xff" * 4096 * 20)

    async def read() -> None:
        for number in range(60):
            await store.get("s", f"a{number}")

    with pytest.raises(StorageError, match="malformed"):
        await read()
    await store.set("s", "a", b"1", None)
    assert "states.db was damaged" in caplog.text
    assert await store.get("s", "a") == b"1"
    await store.close()


async def test_a_newer_version_s_file_is_left_alone(file: Path) -> None:
    await filled(file, 1)
    with closing(sqlite3.connect(file)) as db:
        db.execute("PRAGMA user_version = 2")
        db.execute("UPDATE meta SET value = 2 WHERE key = 'format'")
        db.commit()
    before = contents(file)
    store = make(file)
    with pytest.raises(StorageError, match=r"written by a newer version .format 2, this one knows 1"):
        await store.set("s", "a", b"1", None)
    assert contents(file) == before
    await store.close()


# --- disks


async def test_a_full_disk(disk: Disk) -> None:
    file = disk.folder / "app" / "states.db"
    store = make(file)
    await store.set("s", "a", b"1", None)
    disk.fill()

    async def fill() -> None:
        for number in range(1000):
            await store.set("s", f"a{number}", b'"%s"' % (b"x" * 10_000), None)

    with pytest.raises(StorageError, match=r"507 states cannot be kept in .*states.db: .*full; free the disk"):
        await fill()
    assert await store.get("s", "a") == b"1"
    disk.free()
    await store.set("s", "a", b"2", None)
    await store.close()
    store = make(file)
    assert await store.get("s", "a") == b"2"
    await store.close()


async def test_a_disk_that_cannot_be_written(disk: Disk) -> None:
    file = disk.folder / "app" / "states.db"
    store = make(file)
    refused = r"503 states cannot be kept in .*states.db: .*Read-only file system.*storage.state_dir"
    with disk.read_only(), pytest.raises(StorageError, match=refused):
        await store.set("s", "a", b"1", None)
    await store.set("s", "a", b"1", None)
    await store.close()
    store = make(file)
    with disk.read_only(), pytest.raises(StorageError, match=refused):
        await store.get("s", "a")
    assert await store.get("s", "a") == b"1"
    await store.close()


async def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "app").touch()
    store = make(tmp_path / "app" / "states.db")
    with pytest.raises(StorageError, match=r"503 states cannot be kept in .*(File exists|Not a directory)"):
        await store.set("s", "a", b"1", None)


async def test_another_process_that_writes_for_long(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = make(file)
    await store.set("s", "a", b"1", None)
    assert store._db is not None
    store._db.execute("PRAGMA busy_timeout = 10")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match=r"503 .*database is locked"):
            await store.set("s", "a", b"2", None)
        assert await store.get("s", "a") == b"1", "reading waits for nobody"
        other.execute("ROLLBACK")
    await store.set("s", "a", b"2", None)
    await store.close()
