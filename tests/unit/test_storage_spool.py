"""The table of messages that subscriptions have still to handle, and that of ids they have handled."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from purista_fast.storage import dead_letters, seen, spool
from purista_fast.storage.spool import Entry
from tests.unit.stores import crash, message, new, opened

WATCH = "Thermo/1/watch"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(new(tmp_path / "messages.db")) as made:
        yield made


def test_what_comes_out_is_what_went_in(db: sqlite3.Connection) -> None:
    entries = [
        Entry(WATCH, b"\x00\xff" * 9000),
        Entry(WATCH, message(2), attempts=3, due=12.5, again=True, error="ValueError: ü\n\0"),
        Entry("Other/1/x", message(3)),
    ]
    spool.insert(db, entries)
    assert spool.load(db, WATCH, 0, 10, due=True) == (entries[:2], 0)
    assert spool.load(db, WATCH, 0, 10, due=False) == (entries[:1], 0)
    assert spool.load(db, WATCH, 1, 10, due=True) == (entries[1:2], 0)
    assert spool.load(db, WATCH, 0, 1, due=True) == (entries[:1], 0)
    assert spool.load_one(db, 3) == entries[2]
    assert spool.load_one(db, 4) is None
    assert [(one.seq, one.consumer, one.size) for one in spool.waiting(db)] == [
        (one.seq, one.consumer, one.size) for one in entries
    ]
    assert [one.seq for one in spool.waiting(db, 2)] == [3]


def test_the_life_of_an_entry(db: sqlite3.Connection) -> None:
    entry = Entry(WATCH, message(1))
    spool.insert(db, [entry])
    spool.begin(db, 1)
    (found,) = spool.waiting(db)
    assert (found.attempts, found.running) == (1, True)
    assert spool.load(db, WATCH, 0, 10, due=True) == ([], 0), "it is being handled"
    spool.postpone(db, 1, 1, 99.5, "no")
    (again,), _ = spool.load(db, WATCH, 0, 10, due=True)
    assert (again.attempts, again.due, again.running, again.error) == (1, 99.5, False, "no")
    spool.begin(db, 1)
    spool.rest(db)
    assert spool.waiting(db)[0].attempts == 1, "an attempt that this side gave up does not count"
    spool.delete(db, 1)
    assert spool.waiting(db) == []
    again = Entry(WATCH, message(2))
    spool.insert(db, [again])
    assert again.seq == 2, "numbers are never used again"


def test_an_attempt_that_ends_the_process_has_been_counted(tmp_path: Path) -> None:
    file = tmp_path / "messages.db"
    with closing(new(file)) as db:
        spool.insert(db, [Entry(WATCH, message(1))])
    for attempt in range(1, 4):
        crash(file, lambda db: spool.begin(db, 1))
        with opened(file) as db:
            (found,) = spool.waiting(db)
            assert (found.attempts, found.running) == (attempt, True)
            spool.settle(db)
            (found,) = spool.waiting(db)
            assert (found.attempts, found.running) == (attempt, False)


@pytest.mark.parametrize(
    "change",
    [
        "message = x'00'",
        "crc = crc + 1",
        "message = CAST(message AS TEXT)",
        "consumer = CAST(consumer AS BLOB)",
        "due = 'soon'",
        "attempts = 'many'",
        "error = x'ff'",
    ],
)
def test_what_is_damaged_becomes_a_dead_letter_and_holds_nobody_up(db: sqlite3.Connection, change: str) -> None:
    spool.insert(db, [Entry(WATCH, message(number)) for number in (1, 2, 3)])
    db.execute(f"UPDATE spool SET {change} WHERE seq = 2")
    for found in spool.waiting(db):
        assert isinstance(found.consumer, str)
        assert isinstance(found.due, float)
        assert isinstance(found.attempts, int)
    entries, damaged = spool.load(db, WATCH, 0, 10, due=True)
    assert [entry.seq for entry in entries] == [1, 3]
    if not damaged:  # it cannot be found by its subscription, or by when it is due
        assert spool.load_one(db, 2) is None
    (letter,) = dead_letters.list_all(db)
    assert (letter.origin, letter.target) == ("damaged", "spool")
    assert [one.seq for one in spool.waiting(db)] == [1, 3]


def test_room_is_given_back_to_the_disk(tmp_path: Path) -> None:
    file = tmp_path / "messages.db"
    with closing(new(file)) as db:
        spool.insert(db, [Entry(WATCH, bytes(3000)) for _ in range(1000)])
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        full = file.stat().st_size
        db.execute("BEGIN")
        for seq in range(1, 1001):
            spool.delete(db, seq)
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        assert file.stat().st_size < full / 2


def test_ids_are_remembered_in_order_and_forgotten_in_time(
    db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seen, "REMEMBERED", 1500)
    seen.insert(db, "Other/1/x", "mine")
    for number in range(5000):
        seen.insert(db, WATCH, f"id{number}")
    assert seen.load(db, WATCH) == [f"id{number}" for number in range(3500, 5000)]
    assert seen.load(db, "Other/1/x") == ["mine"], "a busy one does not make others forget"
    assert db.execute("SELECT count(*) FROM seen").fetchone()[0] <= 2502, "it is bounded on disk"


def test_the_ids_of_two_that_take_turns_are_bounded(db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "REMEMBERED", 1500)
    db.execute("BEGIN")
    for number in range(5000):
        for consumer in (WATCH, "Other/1/x"):
            seen.insert(db, consumer, f"id{number}")
    db.execute("COMMIT")
    kept = dict(db.execute("SELECT consumer, count(*) FROM seen GROUP BY consumer").fetchall())
    assert set(kept) == {WATCH, "Other/1/x"}
    assert max(kept.values()) <= 2500, kept
