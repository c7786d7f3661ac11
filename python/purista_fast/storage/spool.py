"""The table of messages that subscriptions have still to handle, or to try again."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from . import schema
from .damage import set_aside
from .rows import is_right

__all__ = (
    "Entry",
    "Waiting",
    "begin",
    "begun",
    "delete",
    "insert",
    "load",
    "load_one",
    "postpone",
    "rest",
    "settle",
    "waiting",
)

OVERHEAD = 120
"""What an entry takes beside its message, in bytes; about."""
_COLUMNS = "seq, consumer, attempts, due, running, again, error, message, crc"


@dataclass(slots=True)
class Entry:
    """A message for one subscription."""

    consumer: str
    """``Service/1/target``"""
    message: bytes
    """As it came over the wire."""
    attempts: int = 0
    """How many have begun."""
    due: float = 0.0
    """When it is tried again, in powered seconds; 0 as soon as its turn comes."""
    running: bool = False
    """Whether an attempt has begun and not ended."""
    again: bool = False
    """Whether somebody has asked for it again, so that it is no duplicate."""
    error: str = ""
    """Why the last attempt failed."""
    seq: int = 0

    @property
    def size(self) -> int:
        """What it takes, in bytes."""
        return len(self.message) + OVERHEAD


@dataclass(slots=True)
class Waiting:
    """What the table says of an entry without reading its message."""

    seq: int
    consumer: str
    attempts: int
    due: float
    running: bool
    size: int


def insert(db: sqlite3.Connection, entries: Iterable[Entry]) -> None:
    """Adds entries, and numbers them."""
    for entry in entries:
        values = (entry.consumer, entry.attempts, entry.due, entry.running, entry.again, entry.error, entry.message)
        cursor = db.execute(
            "INSERT INTO spool (consumer, attempts, due, running, again, error, message, crc)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (*values, zlib.crc32(entry.message)),
        )
        entry.seq = cursor.lastrowid or 0


def load(db: sqlite3.Connection, consumer: str, after: int, limit: int, *, due: bool) -> tuple[list[Entry], int]:
    """The next entries of a subscription after a number, in order, and how many were damaged.

    What is being handled is left out.

    :param due: whether those that wait for a moment are among them; otherwise only those whose turn it is.
    """
    found = db.execute(
        f"SELECT {_COLUMNS} FROM spool WHERE consumer = ? AND seq > ? AND (due = 0 OR ?) AND NOT running"  # noqa: S608 - names of ours
        " ORDER BY seq LIMIT ?",
        (consumer, after, due, limit),
    ).fetchall()
    entries = _whole(db, found)
    return entries, len(found) - len(entries)


def load_one(db: sqlite3.Connection, seq: int) -> Entry | None:
    """An entry, if it is still there."""
    found = db.execute(f"SELECT {_COLUMNS} FROM spool WHERE seq = ?", (seq,)).fetchall()  # noqa: S608 - names of ours
    entries = _whole(db, found)
    return entries[0] if entries else None


def begin(db: sqlite3.Connection, seq: int) -> None:
    """Notes that an attempt begins: if it ends the process, it has been counted."""
    db.execute("UPDATE spool SET attempts = attempts + 1, running = 1 WHERE seq = ?", (seq,))


def postpone(db: sqlite3.Connection, seq: int, attempts: int, due: float, error: str) -> None:
    """Notes that an attempt has failed, and when the next one is due."""
    db.execute(
        "UPDATE spool SET attempts = ?, due = ?, running = 0, error = ? WHERE seq = ?", (attempts, due, error, seq)
    )


def begun(db: sqlite3.Connection, consumer: str) -> list[bytes]:
    """The messages of a subscription of which an attempt has begun."""
    return [
        message for (message,) in db.execute("SELECT message FROM spool WHERE consumer = ? AND attempts", (consumer,))
    ]


def settle(db: sqlite3.Connection) -> None:
    """Notes that no attempt is under way any more: the process that made them has ended. They count."""
    db.execute("UPDATE spool SET running = 0 WHERE running")


def rest(db: sqlite3.Connection) -> None:
    """Notes that the attempts under way were given up by this side, so that they do not count."""
    db.execute("UPDATE spool SET attempts = attempts - 1, running = 0 WHERE running")


def delete(db: sqlite3.Connection, seq: int) -> None:
    """Takes an entry away."""
    db.execute("DELETE FROM spool WHERE seq = ?", (seq,))
    schema.give_back(db)


def waiting(db: sqlite3.Connection, after: int = 0) -> list[Waiting]:
    """What there is, after a number."""
    found = db.execute(
        "SELECT seq, CAST(consumer AS TEXT), CAST(attempts AS INTEGER), CAST(due AS REAL), running, length(message)"
        " FROM spool WHERE seq > ? ORDER BY seq",
        (after,),
    ).fetchall()
    return [Waiting(seq, consumer, n, due, bool(run), size + OVERHEAD) for seq, consumer, n, due, run, size in found]


def _whole(db: sqlite3.Connection, found: list[Any]) -> list[Entry]:
    entries = []
    for seq, *values in found:
        if is_right("spool", values):
            consumer, attempts, due, running, again, error, message, _ = values
            entries.append(Entry(consumer, message, attempts, due, bool(running), bool(again), error, seq))
        else:
            set_aside(db, "spool", seq)
    return entries
