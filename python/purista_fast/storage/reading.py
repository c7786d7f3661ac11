"""Reading a ``messages.db`` that may be in use, damaged, or on a read-only disk: nothing is changed by it."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from . import damage, schema
from .clock import PoweredClock
from .database import resume

__all__ = ("ChangedWhileRead", "clock_of", "copied", "copy_of", "open_reading", "open_writing")


class ChangedWhileRead(Exception):  # noqa: N818 - asks for one more attempt
    """An application has begun to write a file that nobody had in use."""


@contextmanager
def open_reading(file: Path) -> Iterator[sqlite3.Connection]:
    """Opens a file for reading only, beside an application that uses it or without one.

    A log (``-wal``) is read as well, but not brought in.

    :raises FileNotFoundError: if there is none.
    :raises sqlite3.DatabaseError: if it is damaged.
    :raises RuntimeError: if a newer version has written it.
    :raises ChangedWhileRead: at the end, if what was read may be wrong.
    """
    before = file.stat()
    log = file.with_name(file.name + "-wal")
    if log.exists() and file.with_name(file.name + "-shm").exists():
        with closing(_connect(file, "mode=ro")) as db:
            yield db
    elif log.exists() and log.stat().st_size:
        # Left by a crash. SQLite would have to write an index of it beside the file.
        with copied(file) as copy, closing(_connect(copy, "mode=rw")) as db:
            yield db
    else:
        # No process has it open, and nothing is made beside it.
        with closing(_connect(file, "mode=ro&immutable=1")) as db:
            yield db
        after = file.stat()
        if (before.st_mtime_ns, before.st_size, before.st_ino) != (after.st_mtime_ns, after.st_size, after.st_ino):
            raise ChangedWhileRead


@contextmanager
def open_writing(file: Path) -> Iterator[sqlite3.Connection]:
    """Opens a file that is there in a transaction, which ends with the block; an exception undoes it.

    :raises FileNotFoundError: if there is none.
    :raises sqlite3.Error: if it is damaged, or another process writes for longer than 5 s.
    :raises RuntimeError: if a newer version has written it.
    :raises OSError: if it cannot be written.
    """
    with closing(schema.connect(file, create=False)) as db:
        damage.check(db)
        if not schema.is_current(db):
            raise sqlite3.DatabaseError("malformed: it has no tables of messages")
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")


@contextmanager
def copied(file: Path) -> Iterator[Path]:
    """A copy of a file and its log in a folder of its own, for the time of the block.

    :raises OSError: if it cannot be read, or there is no room.
    """
    with tempfile.TemporaryDirectory(prefix="purista-fast-") as folder:
        yield copy_of(file, Path(folder))


def copy_of(file: Path, folder: Path) -> Path:
    """Copies a file and its log, whatever they are called, as ``messages.db``."""
    copy = folder / "messages.db"
    shutil.copyfile(file, copy)
    log = file.with_name(file.name + "-wal")
    if log.exists():
        shutil.copyfile(log, copy.with_name(copy.name + "-wal"))
    return copy


def clock_of(db: sqlite3.Connection, clock: PoweredClock) -> PoweredClock:
    """The clock, going on where the file's owner has left it."""
    resume(db, clock)
    return clock


def _connect(file: Path, mode: str) -> sqlite3.Connection:
    with file.open("rb"):
        pass  # SQLite's error would not say why
    db = sqlite3.connect(f"file:{quote(str(file.absolute()))}?{mode}", uri=True, timeout=5.0, isolation_level=None)
    try:
        db.text_factory = schema.text
        db.execute("PRAGMA query_only = 1")
        if not schema.is_current(db) and file.stat().st_size:
            raise sqlite3.DatabaseError("malformed: it has no tables of messages")
        return db
    except BaseException:
        db.close()
        raise
