"""Copies what can be read of a damaged ``messages.db`` to a new one."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from . import schema, wal
from .rows import TABLES, is_right
from .scan import scan

__all__ = ("Walk", "copy_with_log", "salvage")

_PATIENCE = 500
"""How many ranges of a table may be unreadable before its rows are looked for page by page alone."""
_BATCH = 1000
_HIGHEST = 1 << 48
"""A number above this is damaged."""
Row = Sequence[object]


def salvage(damaged: Path, db: sqlite3.Connection, file: Path, copy: Path) -> dict[str, int]:
    """Copies every row that can be read to a new file, and returns how many, by table.

    That is every row whose own pages are whole, be there a way to them or not. A row that was deleted may come back,
    if the pages that say so are damaged.

    :param damaged: is left as it is.
    :param db: the new file, with its tables.
    :param file: where that is.
    :param copy: where a copy of the damaged one may be made, and is removed at the end.
    :raises OSError: if there is no room for it.
    :raises sqlite3.Error: likewise.
    """
    saved = _Saved(db)
    try:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        # Reading may write, so a copy is read.
        copy_with_log(damaged, copy)
        wal.bring_in(copy)
        if not _has_tables(copy):
            _lay_first_page(copy, file)
        with saved.transaction():
            if not saved.read(copy):
                saved.scan(copy)
        if wal.fault(damaged.with_name(damaged.name + "-wal")) is not None:
            # In case that more was brought in than was ever committed: what SQLite sees is added.
            copy_with_log(damaged, copy)
            with saved.transaction():
                saved.read(copy)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        for suffix in ("", "-wal", "-shm"):
            copy.with_name(copy.name + suffix).unlink(missing_ok=True)
    return saved.counts


class _Saved:
    """The new file."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.counts: dict[str, int] = dict.fromkeys(TABLES, 0)
        self._db = db
        self._added = 0
        self._strays: list[tuple[str, Row]] = []
        """Rows whose numbers cannot be theirs."""

    def transaction(self) -> _Saved:
        return self

    def __enter__(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self._db.execute("ROLLBACK")
            return
        for table, row in self._strays:
            self._insert(table, (None, *row[1:]))
        self._strays.clear()
        self._db.execute("COMMIT")

    def read(self, damaged: Path) -> bool:
        """Takes all to which there is a way; False if there may be more."""
        try:
            source = sqlite3.connect(damaged, isolation_level=None)
            source.text_factory = schema.text
        except sqlite3.Error:
            return False
        with closing(source):
            is_complete = _is_sound(source)
            for table, columns in TABLES.items():
                walk = Walk(source, table, columns)
                for row in walk:
                    self._add(table, row)
                is_complete = is_complete and walk.is_complete
            try:
                kept = source.execute("SELECT key, value FROM meta WHERE key NOT IN ('store', 'format')").fetchall()
            except schema.BROKEN:
                return False
            for key, value in kept:
                if isinstance(key, str) and isinstance(value, int | float | str):
                    schema.put(self._db, key, value)
        return is_complete

    def scan(self, damaged: Path) -> None:
        """Takes all that looks like a row with a message."""
        for number, values in scan(damaged):
            for table in ("outbox", "spool", "dead_letters"):
                self._add(table, (number, *values[1:]))

    def _add(self, table: str, row: Row) -> None:
        self._added += 1
        if self._added % _BATCH == 0:
            # All at once the log would get as long as the file.
            self._db.execute("COMMIT")
            self._db.execute("BEGIN IMMEDIATE")
        if not is_right(table, row[1:]):
            return
        number = row[0]
        has_place = isinstance(number, int) and 0 < number < _HIGHEST
        if not has_place or not (self._insert(table, row) or self._has(table, row)):
            self._strays.append((table, row))

    def _insert(self, table: str, row: Row) -> bool:
        columns = TABLES[table]
        marks = ", ".join("?" for _ in row)
        added = self._db.execute(f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})", row).rowcount  # noqa: S608 - names of ours
        self.counts[table] += added
        return bool(added)

    def _has(self, table: str, row: Row) -> bool:
        """Whether the row with this number is the same."""
        last = TABLES[table].rpartition(", ")[2]
        found = self._db.execute(f"SELECT {last} FROM {table} WHERE seq = ?", row[:1]).fetchone()  # noqa: S608 - names of ours
        return bool(found[0] == row[-1])


class Walk:
    """Every row to which there is a way: a range that cannot be read is halved until what is unreadable is alone."""

    def __init__(self, source: sqlite3.Connection, table: str, columns: str) -> None:
        self.is_complete = True
        self._source = source
        self._table = table
        self._columns = columns

    def __iter__(self) -> Iterator[Row]:
        select = f"SELECT {self._columns} FROM {self._table} WHERE seq BETWEEN ? AND ? ORDER BY seq"  # noqa: S608 - names of ours
        ranges = [(1, _HIGHEST)]
        patience = _PATIENCE
        while ranges and patience:
            first, last = ranges.pop()
            try:
                for row in self._source.execute(select, (first, last)):
                    yield row
                    if isinstance(row[0], int):
                        first = max(first, row[0] + 1)
            except schema.BROKEN:
                self.is_complete = False
                patience -= 1
                if first < last:
                    middle = (first + last) // 2
                    ranges += [(middle + 1, last), (first, middle)]


def _is_sound(source: sqlite3.Connection) -> bool:
    """Whether SQLite finds no fault; free pages that are in no list are none."""
    try:
        found = source.execute("PRAGMA quick_check").fetchall()
    except schema.BROKEN:
        return False
    return all(
        text == "ok" or "never used" in text or "reelist" in text for row in found for text in row[0].splitlines()
    )


def _has_tables(file: Path) -> bool:
    try:
        with closing(sqlite3.connect(file)) as db:
            names = {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}
            return names >= set(TABLES)
    except schema.BROKEN:
        return False


def copy_with_log(damaged: Path, copy: Path) -> None:
    """Copies a file and its log to where a copy may be read and written."""
    for suffix in ("", "-wal", "-shm"):
        source, target = (path.with_name(path.name + suffix) for path in (damaged, copy))
        if source.exists() and suffix != "-shm":
            shutil.copyfile(source, target)
        else:
            target.unlink(missing_ok=True)
    copy.touch(0o600)
    copy.chmod(0o600)


def _lay_first_page(damaged: Path, whole: Path) -> None:
    """Gives a file whose first page is unreadable that of a new one: the tables begin at the same pages in both."""
    with whole.open("rb") as source, damaged.open("r+b") as target:
        page = bytearray(source.read(schema.PAGE))
        # The size that the header says does not count where these two numbers differ (file format, 1.3.7).
        page[24:28], page[92:96] = b"\0\0\0\2", b"\0\0\0\1"
        target.write(page)
