"""Opening ``messages.db`` whatever has happened to it: what can be read is kept, the damaged file is set aside."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from . import schema, wal
from .rows import TABLES

__all__ = (
    "Damage",
    "check",
    "fault_of_header",
    "finish",
    "is_damage",
    "keep_aside",
    "open_or_recover",
    "recovered",
    "set_aside",
    "sync",
)


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
    if recovered(file).exists():
        finish(file)  # an earlier process was ended before it could
    log = file.with_name(file.name + "-wal")
    is_new = not file.exists() or file.stat().st_size == 0
    if is_new and log.exists() and log.stat().st_size:
        return _recover(file, "it is empty, but its log is not")
    what = wal.fault(log) or (None if is_new else fault_of_header(file))
    if what is not None:
        return _recover(file, what)
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
    except schema.BROKEN as error:
        if is_new or not is_damage(error):
            raise
        what = str(error)
    return _recover(file, what)


def set_aside(db: sqlite3.Connection, table: str, seq: int) -> None:
    """Takes a row whose message is not what was written out of its table, and keeps it as a damaged dead letter."""
    message, crc = db.execute(f"SELECT message, crc FROM {table} WHERE seq = ?", (seq,)).fetchone()  # noqa: S608 - a name of ours
    if not isinstance(message, bytes):
        message = str(message).encode()  # its type is damaged as well
    db.execute(
        "INSERT INTO dead_letters (wall, origin, target, name, attempts, error, message, crc)"
        " VALUES (?, 'damaged', ?, '', 0, 'the bytes on disk are not those that were written', ?, ?)",
        (int(time.time() * 1000), table, message, crc if isinstance(crc, int) else 0),
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
        db.execute("SELECT key, value FROM meta LIMIT 1").fetchone()
        for table, columns in TABLES.items():
            db.execute(f"SELECT {columns} FROM {table} LIMIT 1").fetchone()  # noqa: S608 - names of ours


def fault_of_header(file: Path) -> str | None:
    """What SQLite would take for something else than damage, or not notice."""
    with file.open("rb") as source:
        head = source.read(100)
    is_right = head.startswith(b"SQLite format 3\0" + schema.PAGE.to_bytes(2, "big") + b"\2\2\0\x40\x20\x20")
    encoding = int.from_bytes(head[56:60], "big")  # UTF-8, or nothing has been written yet
    return None if is_right and encoding in (0, 1) else "the header is not that of a file of purista-fast"


def is_damage(error: sqlite3.DatabaseError | UnicodeDecodeError) -> bool:
    """Whether an error says that the file is damaged, and not that it cannot be used now."""
    if isinstance(error, UnicodeDecodeError):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return "malformed" in str(error)
    # A lock, a full or an unreadable disk is no damage of the file. A table that is missing is.
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


def _recover(file: Path, what: str) -> tuple[sqlite3.Connection, Damage]:
    """Puts a new file in the place of a damaged one. Where a process ends in between, the next one does it again."""
    from .salvage import salvage  # hardly ever needed

    new, copy = (file.with_name(f".{name}-{file.name}") for name in ("saved", "reading"))
    for suffix in ("", "-wal", "-shm"):
        new.with_name(new.name + suffix).unlink(missing_ok=True)
    try:
        with closing(schema.connect(new)) as db:
            schema.create(db)
            saved = salvage(file, db, new, copy)
    except BaseException:
        for suffix in ("", "-wal", "-shm"):
            new.with_name(new.name + suffix).unlink(missing_ok=True)
        raise
    sync(new)
    aside = keep_aside(file)
    new.rename(recovered(file))
    sync(file.parent)
    finish(file)
    return schema.connect(file), Damage(what, aside, saved)


def recovered(file: Path) -> Path:
    """Where the new file is while the damaged one is still in its place."""
    return file.with_name(f".recovered-{file.name}")


def finish(file: Path) -> None:
    """Puts what :func:`recovered` names into the place of the damaged file."""
    # The log of the damaged file must not be taken for that of the new one.
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    sync(file.parent)
    recovered(file).replace(file)
    sync(file.parent)


def keep_aside(file: Path) -> Path:
    """Gives a damaged file, and its log, one more name."""
    stem = f"{file.stem}.damaged-{time.strftime('%Y%m%dT%H%M%S')}"
    for n in range(1000):
        aside = file.with_name(f"{stem}{f'-{n}' if n else ''}{file.suffix}")
        log = aside.with_name(aside.name + "-wal")
        if aside.exists() or log.exists():
            continue
        if file.exists():
            _link(file, aside)
        if file.with_name(file.name + "-wal").exists():
            _link(file.with_name(file.name + "-wal"), log)
        return aside
    raise FileExistsError(f"{stem}{file.suffix}: there are a thousand of them; remove some")


def _link(file: Path, name: Path) -> None:
    try:
        os.link(file, name)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        import shutil

        shutil.copyfile(file, name)
        name.chmod(0o600)
        sync(name)


def sync(path: Path) -> None:
    """Waits until a file or a folder is on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
