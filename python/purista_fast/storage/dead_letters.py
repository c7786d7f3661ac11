"""The table of dead letters: messages that nothing here can do anything with, until a person decides."""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from . import outbox, schema, spool
from .clock import Moment
from .rows import is_right

__all__ = ("DeadLetter", "Origin", "count", "find", "insert", "list_all", "purge", "redrive")

Origin = Literal["subscription", "outbox", "unknown", "damaged"]
"""Where it died: in a subscription, on its way to the broker, because nobody subscribes it any more, on disk."""
_COLUMNS = "seq, wall, origin, target, name, attempts, error, message, crc"


@dataclass(slots=True)
class DeadLetter:
    """A message that was given up."""

    origin: Origin
    target: str
    """The subscription (``Service/1/target``), or the topic."""
    name: str
    """The event's name, if it has one."""
    attempts: int
    error: str
    message: bytes
    """As it goes over the wire."""
    wall: int = 0
    """When, in milliseconds since 1970 by the clock of the device."""
    seq: int = 0
    is_whole: bool = True
    """Whether the message is what was written."""

    @property
    def can_go_back(self) -> bool:
        """Whether there is somewhere to go back to."""
        return self.is_whole and self.origin in ("subscription", "outbox")


def insert(db: sqlite3.Connection, letter: DeadLetter, limits: tuple[int, int]) -> int:
    """Adds a dead letter, and returns how many of the oldest had to go for it.

    :param limits: how many there may be, and their bytes.
    """
    letter.wall = int(time.time() * 1000)
    values = (letter.wall, letter.origin, letter.target, letter.name, letter.attempts, letter.error, letter.message)
    cursor = db.execute(
        "INSERT INTO dead_letters (wall, origin, target, name, attempts, error, message, crc)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (*values, zlib.crc32(letter.message)),
    )
    letter.seq = cursor.lastrowid or 0
    messages, size = count(db)
    dropped = 0
    while (messages > limits[0] or size > limits[1]) and messages > 1:
        seq, length = db.execute("SELECT seq, length(message) FROM dead_letters ORDER BY seq LIMIT 1").fetchone()
        purge(db, [seq])
        messages, size, dropped = messages - 1, size - length, dropped + 1
    return dropped


def count(db: sqlite3.Connection) -> tuple[int, int]:
    """How many there are, and the bytes of their messages."""
    messages, size = db.execute("SELECT count(*), total(length(message)) FROM dead_letters").fetchone()
    return messages, int(size)


def list_all(db: sqlite3.Connection) -> Iterator[DeadLetter]:
    """All of them, the oldest first."""
    for row in db.execute(f"SELECT {_COLUMNS} FROM dead_letters ORDER BY seq"):  # noqa: S608 - names of ours
        yield _read(row)


def find(db: sqlite3.Connection, seq: int) -> DeadLetter | None:
    """One by its number."""
    row = db.execute(f"SELECT {_COLUMNS} FROM dead_letters WHERE seq = ?", (seq,)).fetchone()  # noqa: S608 - names of ours
    return _read(row) if row else None


def purge(db: sqlite3.Connection, numbers: Collection[int]) -> int:
    """Deletes some, and returns how many there were."""
    before = db.total_changes
    db.executemany("DELETE FROM dead_letters WHERE seq = ?", ((number,) for number in numbers))
    deleted = db.total_changes - before
    schema.give_back(db)
    return deleted


def redrive(db: sqlite3.Connection, letter: DeadLetter, now: Moment) -> None:
    """Puts one back to where it came from, as if it were new.

    :raises ValueError: for one that has nowhere to go: it is damaged, or was never meant for a subscription of ours.
    """
    if not letter.can_go_back:
        why = letter.origin if letter.is_whole else "damaged"
        raise ValueError(f"dead letter {letter.seq} ({why}) has nowhere to go back to; export or purge it")
    if letter.origin == "subscription":
        spool.insert(db, [spool.Entry(letter.target, letter.message, again=True)])
    else:
        outbox.insert(db, [outbox.Row(letter.name, letter.message, now, hold=False)])
    purge(db, [letter.seq])


def _read(row: tuple[Any, ...]) -> DeadLetter:
    seq, *values = row
    is_whole = is_right("dead_letters", values)
    if not is_whole:  # what there is of it can be looked at
        kinds = (int, str, str, str, int, str)
        values[:6] = [value if isinstance(value, kind) else kind() for value, kind in zip(values, kinds, strict=False)]
        values[6] = values[6] if isinstance(values[6], bytes) else str(values[6]).encode()
    wall, origin, target, name, attempts, error, message, _ = values
    return DeadLetter(origin, target, name, attempts, error, message, wall, seq, is_whole)
