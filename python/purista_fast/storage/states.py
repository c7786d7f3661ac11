"""The table of ``states.db``: what services keep by key, each until it is removed or its time is over."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Sequence

from . import schema
from .clock import Moment

__all__ = (
    "COLUMNS",
    "TABLE",
    "check",
    "create",
    "delete",
    "find",
    "insert",
    "is_right",
    "is_there",
    "purge",
    "put",
    "put_until",
)

TABLE = "states"
COLUMNS = "seq, service, key, expires, wall, value, crc"
VERSION = 1
_SCHEMA = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) WITHOUT ROWID;
CREATE TABLE {TABLE} (
    seq INTEGER PRIMARY KEY, service TEXT NOT NULL, key TEXT NOT NULL, expires REAL, wall INTEGER, value BLOB NOT NULL,
    crc INTEGER NOT NULL, UNIQUE (service, key));
CREATE INDEX expiring ON {TABLE} (expires) WHERE expires IS NOT NULL;
"""
_KINDS: tuple[type | tuple[type, ...], ...] = (
    str,
    str,
    (int, float, type(None)),
    (int, type(None)),
    bytes,
    int,
)
_PURGED = 1000
"""How many values whose time is over are removed at once."""


def create(db: sqlite3.Connection) -> None:
    """Makes the tables in an empty file; in a transaction."""
    for statement in filter(str.strip, _SCHEMA.split(";")):
        db.execute(statement)
    schema.put(db, "format", VERSION)
    db.execute(f"PRAGMA user_version = {VERSION}")


def check(db: sqlite3.Connection) -> bool:
    """Looks for damage, as at each start; whether the tables are there.

    :raises sqlite3.DatabaseError: if there is some.
    :raises RuntimeError: if a newer version has written the file.
    """
    found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(f"malformed: {found}")
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    if version > VERSION and schema.get(db, "format") == version:
        raise RuntimeError(f"it was written by a newer version (format {version}, this one knows {VERSION})")
    if version not in (0, VERSION):
        raise sqlite3.DatabaseError(f"malformed: format {version}")
    if version:
        db.execute("SELECT key, value FROM meta LIMIT 1").fetchone()
        db.execute(f"SELECT {COLUMNS} FROM {TABLE} LIMIT 1").fetchone()  # noqa: S608 - names of ours
    return version == VERSION


def find(db: sqlite3.Connection, service: str, key: str, now: Moment) -> tuple[bytes, float | None, int | None] | None:
    """A value that is not over, and until when it is kept: powered seconds, and milliseconds since 1970 if known.

    :raises sqlite3.DatabaseError: if the bytes are not those that were written.
    """
    row = db.execute(
        f"SELECT service, key, expires, wall, value, crc FROM {TABLE} WHERE service = ? AND key = ?",  # noqa: S608 - a name of ours
        (service, key),
    ).fetchone()
    if row is None:
        return None
    if not is_right(row):
        raise sqlite3.DatabaseError(
            f"the value of {service}/{key} is damaged: its bytes are not those that were written; set or remove it"
        )
    _, _, expires, wall, value, _ = row
    return None if _is_over(expires, wall, now) else (value, expires, wall)


def is_there(db: sqlite3.Connection, service: str, key: str, now: Moment) -> bool:
    """Whether there is a value that is not over, damaged or not."""
    row = db.execute(f"SELECT expires, wall FROM {TABLE} WHERE service = ? AND key = ?", (service, key)).fetchone()  # noqa: S608 - a name of ours
    return row is not None and not _is_over(row[0], row[1], now)


def _is_over(expires: float | None, wall: int | None, now: Moment) -> bool:
    if expires is not None and expires <= now.powered:
        return True
    return wall is not None and now.wall is not None and wall <= now.wall


def put(db: sqlite3.Connection, service: str, key: str, value: bytes, ttl: float | None, now: Moment) -> None:
    """Keeps a value for so many seconds, or for good."""
    expires = None if ttl is None else float(now.powered + ttl)
    wall = None if ttl is None or now.wall is None else int(now.wall + ttl * 1000)
    insert(db, (service, key, expires, wall, value, _crc(service, key, expires, wall, value)))


def put_until(
    db: sqlite3.Connection, service: str, key: str, value: bytes, until: tuple[float | None, int | None]
) -> None:
    """Keeps a value until a time that :func:`find` gave."""
    insert(db, (service, key, *until, value, _crc(service, key, *until, value)))


def insert(db: sqlite3.Connection, row: Sequence[object]) -> None:
    """Adds a row, or puts it in the place of that with the same key."""
    db.execute(
        f"INSERT INTO {TABLE} (service, key, expires, wall, value, crc) VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608 - a name of ours
        " ON CONFLICT (service, key) DO UPDATE SET expires = excluded.expires, wall = excluded.wall,"
        " value = excluded.value, crc = excluded.crc",
        row,
    )


def delete(db: sqlite3.Connection, service: str, key: str) -> None:
    """Takes a value away, and gives its room back to the file system from time to time."""
    db.execute(f"DELETE FROM {TABLE} WHERE service = ? AND key = ?", (service, key))  # noqa: S608 - a name of ours
    schema.give_back(db)


def purge(db: sqlite3.Connection, now: Moment) -> bool:
    """Deletes what is over, some at most; whether that was all."""
    deleted = db.execute(
        f"DELETE FROM {TABLE} WHERE seq IN (SELECT seq FROM {TABLE}"  # noqa: S608 - a name of ours
        " WHERE expires IS NOT NULL AND (expires <= ? OR wall <= ?) LIMIT ?)",
        (now.powered, now.wall, _PURGED),
    ).rowcount
    schema.give_back(db)
    return deleted < _PURGED


def is_right(row: Sequence[object]) -> bool:
    """Whether the columns, without the number, are those that were written; SQLite does not notice a flipped bit."""
    if len(row) != len(_KINDS) or not all(map(isinstance, row, _KINDS)):
        return False
    service, key, expires, wall, value, crc = row
    # A whole number of seconds is an integer on its page.
    expires = None if expires is None else float(expires)  # type: ignore[arg-type] # its kind was looked at
    return value != b"" and _crc(service, key, expires, wall, value) == crc


def _crc(service: object, key: object, expires: object, wall: object, value: object) -> int:
    head = f"{service}\0{key}\0{expires}\0{wall}\0".encode("utf-8", "surrogatepass")
    assert isinstance(value, bytes)
    return zlib.crc32(value, zlib.crc32(head))
