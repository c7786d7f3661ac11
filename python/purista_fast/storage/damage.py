"""Opening ``messages.db`` whatever has happened to it: what can be read is kept, the damaged file is set aside."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from . import schema

__all__ = ("Damage", "check", "is_whole", "open_or_recover", "salvage", "set_aside", "sync")

_TABLES = {
    "outbox": "seq, name, ordered, hold, powered, wall, message, crc",
    "spool": "seq, consumer, attempts, due, running, again, error, message, crc",
    "dead_letters": "seq, wall, origin, target, name, attempts, error, message, crc",
    "seen": "seq, consumer, id",
}
_PATIENCE = 100_000
"""How many ranges of a table may be unreadable before the rest of it is given up."""
_KEPT_META = ("powered", "since_boot", "boot_id")


@dataclass(frozen=True, slots=True)
class Damage:
    """What was wrong with a file, and what was saved of it."""

    what: str
    aside: Path
    """Where the damaged file is now."""
    saved: dict[str, int]
    """How many rows were saved, by table."""

    def __str__(self) -> str:
        saved = ", ".join(f"{count} of {table}" for table, count in self.saved.items() if count) or "nothing"
        return f"damaged ({self.what}); saved: {saved}; the damaged file is kept as {self.aside}"


def open_or_recover(file: Path) -> tuple[sqlite3.Connection, Damage | None]:
    """Opens the file; a damaged one is set aside, and what can be read of it goes into a new one.

    :raises RuntimeError: if a newer version has written it.
    :raises OSError: if the folder cannot be written.
    :raises sqlite3.Error: if it cannot be opened for another reason than damage: a full disk, a lock.
    """
    is_new = not file.exists() or file.stat().st_size == 0
    try:
        db = schema.connect(file)
        try:
            if not is_new:
                check(db)
            if is_new or not schema.is_current(db):
                schema.create(db)
            return db, None
        except BaseException:
            db.close()
            raise
    except sqlite3.DatabaseError as error:
        if is_new or not _is_damage(error):
            raise
        what = str(error)
    return _recover(file, what)


def is_whole(message: bytes, crc: int) -> bool:
    """Whether a row is what was written: SQLite does not notice a flipped bit in a text."""
    return zlib.crc32(message) == crc


def set_aside(db: sqlite3.Connection, table: str, seq: int) -> None:
    """Takes a row whose message is not what was written out of its table, and keeps it as a damaged dead letter."""
    message, crc = db.execute(f"SELECT message, crc FROM {table} WHERE seq = ?", (seq,)).fetchone()  # noqa: S608 - a name of ours
    db.execute(
        "INSERT INTO dead_letters (wall, origin, target, name, attempts, error, message, crc)"
        " VALUES (?, 'damaged', ?, '', 0, 'the bytes on disk are not those that were written', ?, ?)",
        (int(time.time() * 1000), table, message, crc),
    )
    db.execute(f"DELETE FROM {table} WHERE seq = ?", (seq,))  # noqa: S608 - a name of ours


def check(db: sqlite3.Connection) -> None:
    """Looks for damage, as at each start.

    :raises sqlite3.DatabaseError: if there is some.
    :raises RuntimeError: if a newer version has written the file.
    """
    found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(f"malformed: {found}")
    if schema.is_current(db):
        for table, columns in _TABLES.items():
            db.execute(f"SELECT {columns} FROM {table} LIMIT 1").fetchone()  # noqa: S608 - names of ours


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return "malformed" in str(error)
    # A lock, a full or an unreadable disk is no damage of the file. A table that is missing is.
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def _recover(file: Path, what: str) -> tuple[sqlite3.Connection, Damage]:
    aside = _free_name(file)
    for suffix in ("", "-wal"):
        part = file.with_name(file.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    file.with_name(file.name + "-shm").unlink(missing_ok=True)
    sync(file.parent)
    # Reading may write (the log is brought in), so a copy is read and the damaged file stays as it was found.
    db = schema.connect(file)
    try:
        schema.create(db)
        saved = salvage(aside, db, file, file.with_name(f".reading-{aside.name}"))
    except BaseException:
        db.close()
        raise
    return db, Damage(what, aside, saved)


def salvage(damaged: Path, db: sqlite3.Connection, file: Path, copy: Path) -> dict[str, int]:
    """Copies every row that can be read to a new file, and returns how many, by table.

    :param damaged: is left as it is.
    :param db: the new file, with its tables.
    :param file: where that is.
    :param copy: where a copy of the damaged one may be made, and is removed at the end.
    :raises OSError: if there is no room for it.
    :raises sqlite3.Error: likewise.
    """
    saved: dict[str, int] = dict.fromkeys(_TABLES, 0)
    try:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        for repaired in (False, True):
            for suffix in ("", "-wal"):
                source = damaged.with_name(damaged.name + suffix)
                if source.exists():
                    shutil.copyfile(source, copy.with_name(copy.name + suffix))
            if repaired:
                _lay_first_page(copy, file)
            if _save(copy, db, saved):
                break
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        for suffix in ("", "-wal", "-shm"):
            copy.with_name(copy.name + suffix).unlink(missing_ok=True)
    return saved


def _save(damaged: Path, db: sqlite3.Connection, saved: dict[str, int]) -> bool:
    """Copies what can be read; False if nothing can, not even the list of tables."""
    try:
        source = sqlite3.connect(damaged, isolation_level=None)
    except sqlite3.Error:
        return False
    with closing(source):
        try:
            source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            source.execute("SELECT seq FROM outbox LIMIT 1").fetchone()
        except sqlite3.DatabaseError:
            return False
        db.execute("BEGIN IMMEDIATE")
        for table, columns in _TABLES.items():
            marks = ", ".join("?" for _ in columns.split(","))
            for row in _rows(source, table, columns):
                db.execute(f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})", row)  # noqa: S608 - names of ours
                saved[table] += 1
        for key in _KEPT_META:
            try:
                schema.put(db, key, schema.get(source, key))
            except sqlite3.DatabaseError:
                break
        db.execute("COMMIT")
    return True


def _rows(source: sqlite3.Connection, table: str, columns: str) -> Iterator[tuple[object, ...]]:
    """Every row that can be read: a range that cannot is halved until what is unreadable is alone."""
    select = f"SELECT {columns} FROM {table} WHERE seq BETWEEN ? AND ? ORDER BY seq"  # noqa: S608 - names of ours
    ranges = [_bounds(source, table)]
    patience = _PATIENCE
    while ranges and patience:
        first, last = ranges.pop()
        if first > last:
            continue
        try:
            found = source.execute(select, (first, last)).fetchall()
        except sqlite3.DatabaseError:
            patience -= 1
            if first < last:
                middle = (first + last) // 2
                ranges += [(middle + 1, last), (first, middle)]
            continue
        yield from (row for row in found if _is_plausible(table, row))


def _bounds(source: sqlite3.Connection, table: str) -> tuple[int, int]:
    try:
        last = int(source.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()[0])
        first = source.execute(f"SELECT min(seq) FROM {table}").fetchone()[0]  # noqa: S608 - a name of ours
    except (sqlite3.DatabaseError, TypeError, ValueError):
        # As many rows as nobody has; halving finds those that are there.
        return 1, 1 << 40
    return (int(first), last) if isinstance(first, int) else (1, last)


def _is_plausible(table: str, row: tuple[object, ...]) -> bool:
    if not isinstance(row[0], int) or row[0] < 1:
        return False
    if table == "seen":
        return isinstance(row[1], str) and isinstance(row[2], str)
    message, crc = row[-2:]
    return isinstance(message, bytes) and isinstance(crc, int) and is_whole(message, crc)


def _lay_first_page(damaged: Path, whole: Path) -> None:
    """Gives a file whose first page is unreadable that of a new one: the tables begin at the same pages in both."""
    with whole.open("rb") as source, damaged.open("r+b") as target:
        page = bytearray(source.read(schema.PAGE))
        # The size that the header says does not count where these two numbers differ (file format, 1.3.7).
        page[24:28], page[92:96] = b"\0\0\0\2", b"\0\0\0\1"
        target.write(page)
    damaged.with_name(damaged.name + "-wal").unlink(missing_ok=True)


def _free_name(file: Path) -> Path:
    stem = f"{file.stem}.damaged-{time.strftime('%Y%m%dT%H%M%S')}"
    candidates = (file.with_name(f"{stem}{f'-{n}' if n else ''}{file.suffix}") for n in range(1000))
    return next(path for path in candidates if not path.exists())


def sync(path: Path) -> None:
    """Waits until a file or a folder is on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
