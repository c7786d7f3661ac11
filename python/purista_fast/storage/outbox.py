"""The outbox's table: events that wait for the broker, in order."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from . import schema
from .clock import Moment
from .damage import set_aside
from .rows import is_right

__all__ = (
    "Gone",
    "Row",
    "Totals",
    "count_drops",
    "delete",
    "drop_oldest",
    "drops",
    "expire",
    "insert",
    "load",
    "missing",
    "names",
    "oldest",
    "totals",
)

OVERHEAD = 100
"""What a row takes beside its message, in bytes; about."""


@dataclass(slots=True)
class Row:
    """An event in the outbox."""

    name: str
    """Its event name, within which order is kept."""
    message: bytes
    """As it goes over the wire."""
    since: Moment
    """When it was emitted."""
    ordered: bool = True
    hold: bool = False
    """Whether it stays after the broker's acknowledgement for a while."""
    seq: int = 0

    @property
    def size(self) -> int:
        """What it takes, in bytes."""
        return len(self.message) + OVERHEAD

    def as_gone(self) -> Gone:
        """What is left to say of it once it is deleted."""
        return Gone(self.seq, self.name, self.size, self.ordered)


@dataclass(frozen=True, slots=True)
class Gone:
    """A row that is no more."""

    seq: int
    name: str
    size: int
    ordered: bool


@dataclass(slots=True)
class Totals:
    """What the table holds."""

    messages: int
    bytes: int
    hold: int
    """How many of the messages are of ``durability="disk"``."""
    names: dict[str, int]
    """How many rows that keep their order there are, by event name."""


def insert(db: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Adds rows, and numbers them."""
    for row in rows:
        values = (row.name, row.ordered, row.hold, row.since.powered, row.since.wall, row.message)
        cursor = db.execute(
            "INSERT INTO outbox (name, ordered, hold, powered, wall, message, crc) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*values, zlib.crc32(row.message)),
        )
        row.seq = cursor.lastrowid or 0


def load(db: sqlite3.Connection, after: int, limit: int) -> tuple[list[Row], int, list[Gone]]:
    """The next rows after a number, the number up to which was looked, and the rows that were damaged.

    What is damaged becomes a dead letter.
    """
    found = db.execute(
        "SELECT seq, name, ordered, hold, powered, wall, message, crc FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?",
        (after, limit),
    ).fetchall()
    rows, damaged = [], []
    for seq, *values in found:
        name, ordered, hold, powered, wall, message, _ = values
        row = Row(name, message, Moment(powered, wall), bool(ordered), bool(hold), seq)
        if is_right("outbox", values):
            rows.append(row)
        else:
            size = db.execute("SELECT length(message) FROM outbox WHERE seq = ?", (seq,)).fetchone()[0]
            set_aside(db, "outbox", seq)
            damaged.append(Gone(seq, str(name), size + OVERHEAD, bool(ordered)))
    return rows, found[-1][0] if found else after, damaged


def delete(db: sqlite3.Connection, numbers: Collection[int]) -> None:
    """Takes rows away, and gives their room back to the file system from time to time."""
    db.executemany("DELETE FROM outbox WHERE seq = ?", ((number,) for number in numbers))
    schema.give_back(db)


def drop_oldest(db: sqlite3.Connection, name: str, room: int, count: int = 1) -> list[Gone]:
    """Deletes the oldest rows of an event until so many bytes, and so many rows, are gone."""
    dropped: list[Gone] = []
    freed = 0
    select = "SELECT seq, CAST(name AS TEXT), length(message), ordered FROM outbox WHERE name = ? ORDER BY seq"
    for row in _gone(db.execute(select, (name,))):
        if freed >= room and len(dropped) >= count:
            break
        dropped.append(row)
        freed += row.size
    delete(db, [row.seq for row in dropped])
    return dropped


def expire(
    db: sqlite3.Connection, now: Moment, age: float, sent: Collection[int] = (), name: str | None = None
) -> list[Gone]:
    """Deletes what is older, in seconds.

    :param sent: rows that are on their way to the broker, which are left alone.
    :param name: of which event; of all unless given.
    """
    found = db.execute(
        "SELECT seq, CAST(name AS TEXT), length(message), ordered FROM outbox"
        " WHERE (powered < ? OR wall < ?) AND (?3 IS NULL OR name = ?3)",
        (now.powered - age, None if now.wall is None else now.wall - age * 1000, name),
    )
    expired = [row for row in _gone(found) if row.seq not in sent]
    delete(db, [row.seq for row in expired])
    return expired


def _gone(cursor: sqlite3.Cursor) -> Iterator[Gone]:
    for seq, name, size, ordered in cursor:
        yield Gone(seq, name, size + OVERHEAD, bool(ordered))


def names(db: sqlite3.Connection) -> list[str]:
    """The events of which there are any."""
    return [name for (name,) in db.execute("SELECT DISTINCT CAST(name AS TEXT) FROM outbox")]


def totals(db: sqlite3.Connection) -> Totals:
    """What there is."""
    messages, size, hold = db.execute("SELECT count(*), total(length(message)), total(hold) FROM outbox").fetchone()
    names = dict(db.execute("SELECT CAST(name AS TEXT), count(*) FROM outbox WHERE ordered GROUP BY 1").fetchall())
    return Totals(messages, int(size) + messages * OVERHEAD, int(hold), names)


def missing(db: sqlite3.Connection, numbers: Collection[int]) -> set[int]:
    """Which of these rows are not there."""
    return set(numbers).difference(seq for (seq,) in db.execute("SELECT seq FROM outbox")) if numbers else set()


def oldest(db: sqlite3.Connection) -> Moment | None:
    """When the oldest row was emitted."""
    found = db.execute(
        "SELECT CAST(powered AS REAL), CAST(wall AS INTEGER) FROM outbox ORDER BY seq LIMIT 1"
    ).fetchone()
    return Moment(*found) if found else None


def count_drops(db: sqlite3.Connection, reason: str, count: int) -> None:
    """Adds to the drops of a reason, for ever."""
    known: Any = schema.get(db, f"dropped.{reason}") or 0
    schema.put(db, f"dropped.{reason}", known + count)


def drops(db: sqlite3.Connection) -> dict[str, int]:
    """How many events were dropped, by reason."""
    found = db.execute("SELECT key, value FROM meta WHERE key LIKE 'dropped.%'").fetchall()
    return {key.partition(".")[2]: value for key, value in found}
