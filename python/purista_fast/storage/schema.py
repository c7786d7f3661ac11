"""The tables of ``messages.db``, and how a file is opened so that what is committed stays."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

__all__ = (
    "BROKEN",
    "PAGE",
    "VERSION",
    "attach",
    "connect",
    "create",
    "get",
    "give_back",
    "is_current",
    "put",
    "shrink",
    "text",
)

VERSION = 1
PAGE = 4096
BROKEN = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What a damaged file raises; the second where SQLite's own message holds a damaged name."""
_INCREMENTAL = 2
_FREE, _AT_ONCE = 256, 512
"""How many free pages a file keeps, and how many are given back at once."""
_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) WITHOUT ROWID;
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, ordered INTEGER NOT NULL, hold INTEGER NOT NULL,
    powered REAL NOT NULL, wall INTEGER, message BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE spool (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, consumer TEXT NOT NULL, attempts INTEGER NOT NULL, due REAL NOT NULL,
    running INTEGER NOT NULL, again INTEGER NOT NULL, error TEXT NOT NULL, message BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE dead_letters (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, wall INTEGER NOT NULL, origin TEXT NOT NULL, target TEXT NOT NULL,
    name TEXT NOT NULL, attempts INTEGER NOT NULL, error TEXT NOT NULL, message BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE seen (seq INTEGER PRIMARY KEY AUTOINCREMENT, consumer TEXT NOT NULL, id TEXT NOT NULL);
"""


def connect(file: Path, *, create: bool = True) -> sqlite3.Connection:
    """Opens a file, made with mode 0600 if there is none, for use by one thread at a time.

    :param create: whether it is made if there is none.
    :raises sqlite3.Error: if it is no database, or damaged where SQLite looks first.
    :raises OSError: if it cannot be made or written.
    """
    os.close(os.open(file, os.O_RDWR | (os.O_CREAT if create else 0) | os.O_CLOEXEC, 0o600))
    return attach(file)


def attach(file: Path) -> sqlite3.Connection:
    """The same for a file that this process may have open already: to close it once more would lose SQLite's locks.

    :raises sqlite3.Error: as :func:`connect`.
    """
    db = sqlite3.connect(file, timeout=5.0, isolation_level=None, check_same_thread=False, cached_statements=64)
    try:
        # One flipped bit in a name must not keep all others from being read.
        db.text_factory = text
        db.execute(f"PRAGMA page_size = {PAGE}")
        if db.execute("PRAGMA auto_vacuum").fetchone()[0] != _INCREMENTAL:  # to set it is to write it
            db.execute(f"PRAGMA auto_vacuum = {_INCREMENTAL}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        # About 1 MiB each for the log on disk, after a checkpoint as well, and for the cache in memory.
        db.execute("PRAGMA wal_autocheckpoint = 256")
        db.execute("PRAGMA journal_size_limit = 1048576")
        db.execute("PRAGMA cache_size = -1024")
    except BaseException:
        db.close()
        raise
    return db


def create(db: sqlite3.Connection) -> None:
    """Makes the tables in an empty file."""
    db.execute("BEGIN IMMEDIATE")
    try:
        for statement in filter(str.strip, _SCHEMA.split(";")):
            db.execute(statement)
        put(db, "store", os.urandom(8).hex())
        put(db, "format", VERSION)
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def is_current(db: sqlite3.Connection) -> bool:
    """Whether the tables are there.

    :raises RuntimeError: if a newer version has made them.
    :raises sqlite3.DatabaseError: if the number of the format is damaged.
    """
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION and get(db, "format") == version:
        raise RuntimeError(f"it was written by a newer version (format {version}, this one knows {VERSION})")
    if version not in (0, VERSION):
        raise sqlite3.DatabaseError(f"malformed: format {version}")
    return version == VERSION


def shrink(db: sqlite3.Connection, pages: int) -> None:
    """Gives free pages at the end back to the file system, some at most.

    :raises sqlite3.Error: if that fails.
    """
    for _ in range(pages):
        # One at a time: of a statement without columns Python takes one step, whatever number is asked for.
        db.execute("PRAGMA incremental_vacuum(1)")


def give_back(db: sqlite3.Connection) -> None:
    """Gives pages back if many are free."""
    free = db.execute("PRAGMA freelist_count").fetchone()[0]
    if free > _FREE:
        shrink(db, min(free - _FREE, _AT_ONCE))


def text(data: bytes) -> str:
    """A text of the file, damaged or not."""
    return data.decode("utf-8", "replace")


def get(db: sqlite3.Connection, key: str) -> object:
    """A value of ``meta``, or ``None``."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return row[0] if row else None


def put(db: sqlite3.Connection, key: str, value: object) -> None:
    """Keeps a value in ``meta``."""
    db.execute("INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", (key, value))
