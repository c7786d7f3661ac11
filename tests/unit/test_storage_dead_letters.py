"""The table of dead letters."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from purista_fast.storage import dead_letters, outbox, spool
from purista_fast.storage.clock import Moment
from tests.unit.stores import NO_LIMITS, letter, message, new

NOW = Moment(77.0, 1_700_000_000_000)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(new(tmp_path / "messages.db")) as made:
        yield made


def kept(db: sqlite3.Connection) -> list[int]:
    return [found.seq for found in dead_letters.list_all(db)]


def test_what_comes_out_is_what_went_in(db: sqlite3.Connection) -> None:
    first = letter(1, error="ü\n\0", message=b"\x00\xff" * 9000)
    second = letter(2, "outbox", target="", name="")
    for one in (first, second):
        assert dead_letters.insert(db, one, NO_LIMITS) == 0
    assert list(dead_letters.list_all(db)) == [first, second]
    assert dead_letters.find(db, 2) == second
    assert dead_letters.find(db, 3) is None
    assert first.wall > 0
    assert dead_letters.count(db) == (2, len(first.message) + len(second.message))


def test_the_oldest_go_when_there_are_too_many(db: sqlite3.Connection) -> None:
    dropped = [dead_letters.insert(db, letter(number), (3, 1 << 40)) for number in range(5)]
    assert dropped == [0, 0, 0, 1, 1]
    assert kept(db) == [3, 4, 5]


def test_the_oldest_go_when_they_are_too_large(db: sqlite3.Connection) -> None:
    for number in range(4):
        dead_letters.insert(db, letter(number, message=bytes(1000)), (100, 3500))
    assert kept(db) == [2, 3, 4]
    assert dead_letters.insert(db, letter(9, message=bytes(2400)), (100, 3500)) == 2
    assert kept(db) == [4, 5]
    assert dead_letters.insert(db, letter(9, message=bytes(9000)), (100, 3500)) == 2
    assert kept(db) == [6], "the newest stays, however large"


def test_purge_says_how_many_there_were(db: sqlite3.Connection) -> None:
    for number in range(3):
        dead_letters.insert(db, letter(number), NO_LIMITS)
    assert dead_letters.purge(db, [1, 3, 3, 9]) == 2
    assert kept(db) == [2]
    assert dead_letters.purge(db, []) == 0


def test_each_goes_back_to_where_it_came_from(db: sqlite3.Connection) -> None:
    for one in (letter(1), letter(2, "outbox", target="a/topic")):
        dead_letters.insert(db, one, NO_LIMITS)
        found = dead_letters.find(db, one.seq)
        assert found is not None
        assert found.can_go_back
        dead_letters.redrive(db, found, NOW)
    assert kept(db) == []
    (entry,), _ = spool.load(db, "Thermo/1/watch", 0, 10, due=False)
    assert (entry.message, entry.attempts, entry.again) == (message(1), 0, True)
    (row,), _, _ = outbox.load(db, 0, 10)
    assert (row.message, row.name, row.since, row.hold) == (message(2), "reading", NOW, False)


@pytest.mark.parametrize("origin", ["unknown", "damaged"])
def test_some_have_nowhere_to_go(db: sqlite3.Connection, origin: dead_letters.Origin) -> None:
    one = letter(1, origin)
    dead_letters.insert(db, one, NO_LIMITS)
    with pytest.raises(ValueError, match=rf"dead letter 1 \({origin}\) has nowhere to go back to; export or purge it"):
        dead_letters.redrive(db, one, NOW)
    assert kept(db) == [1]


@pytest.mark.parametrize(
    "change", ["crc = crc + 1", "message = 'text'", "target = x'ff00'", "attempts = 'many'", "wall = 'then'"]
)
def test_what_is_damaged_is_shown_but_goes_nowhere(db: sqlite3.Connection, change: str) -> None:
    dead_letters.insert(db, letter(1), NO_LIMITS)
    db.execute(f"UPDATE dead_letters SET {change}")
    (found,) = dead_letters.list_all(db)
    assert not found.is_whole
    assert isinstance(found.message, bytes)
    assert isinstance(found.wall, int)
    assert isinstance(found.target, str)
    with pytest.raises(ValueError, match="damaged"):
        dead_letters.redrive(db, found, NOW)
    assert kept(db) == [1]
