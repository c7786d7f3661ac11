"""The table of message ids that a subscription has handled, so that it handles none of them twice."""

from __future__ import annotations

import sqlite3

__all__ = ("REMEMBERED", "insert", "load")

REMEMBERED = 10_000
"""How many ids are remembered for each subscription."""


def insert(db: sqlite3.Connection, consumer: str, key: str) -> None:
    """Remembers an id; the oldest are forgotten from time to time."""
    cursor = db.execute("INSERT INTO seen (consumer, id) VALUES (?, ?)", (consumer, key))
    if (cursor.lastrowid or 0) % 1000 == 0:
        # Of all: of two that take turns only one would ever have such a number.
        for (each,) in db.execute("SELECT DISTINCT CAST(consumer AS TEXT) FROM seen").fetchall():
            db.execute(
                "DELETE FROM seen WHERE consumer = ? AND seq <= (SELECT seq FROM seen WHERE consumer = ?"
                " ORDER BY seq DESC LIMIT 1 OFFSET ?)",
                (each, each, REMEMBERED),
            )


def load(db: sqlite3.Connection, consumer: str) -> list[str]:
    """The ids that are remembered, the oldest first."""
    found = db.execute(
        "SELECT id FROM seen WHERE consumer = ? ORDER BY seq DESC LIMIT ?", (consumer, REMEMBERED)
    ).fetchall()
    return [key for (key,) in reversed(found)]
