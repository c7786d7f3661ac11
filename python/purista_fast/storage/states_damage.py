"""Opening ``states.db``, which several processes may use at the same time, whatever has happened to it."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from . import schema, states, wal
from .damage import Damage, fault_of_header, finish, is_damage, keep_aside, recovered, sync

__all__ = ("open_shared",)

_PATIENCE = 5.0
"""How long another process may take to make the file, in seconds."""


def open_shared(file: Path) -> tuple[sqlite3.Connection, int, Damage | None]:
    """Opens the file beside others that do; a damaged one is set aside, and what can be read of it goes into a new one.

    The number is that of an open file: as long as it is open, no other process repairs.

    :raises RuntimeError: if a newer version has written it, or another process uses it and it is damaged or removed.
    :raises OSError: if the folder cannot be written.
    :raises sqlite3.Error: if it cannot be opened for another reason than damage: a full disk, a lock.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    patience = time.monotonic() + _PATIENCE
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                fcntl.flock(lock, fcntl.LOCK_SH)  # once whoever makes or repairs it has done so
                if file.exists() and file.stat().st_size:
                    return _open(file), lock, None
                fcntl.flock(lock, fcntl.LOCK_UN)  # they could not, or it was removed and they have not noticed yet
                if time.monotonic() > patience:
                    raise RuntimeError(
                        "it was removed, and another process goes on with what was there: stop that, or let it use a "
                        "state; then there is a new file"
                    ) from None
                time.sleep(0.01)
            else:
                db, damage = _open_alone(file)
                fcntl.flock(lock, fcntl.LOCK_SH)
                return db, lock, damage
    except BaseException:
        os.close(lock)
        raise


def _open(file: Path) -> sqlite3.Connection:
    """Opens what others have open, too."""
    try:
        db = schema.attach(file)
        try:
            if not states.check(db):
                raise sqlite3.DatabaseError("malformed: it has no tables of states")
        except BaseException:
            db.close()
            raise
    except schema.BROKEN as error:
        if not is_damage(error):
            raise
        raise RuntimeError(
            f"it is damaged ({error}), and other processes use it: stop all of them; the first that starts repairs it"
        ) from error
    return db


def _open_alone(file: Path) -> tuple[sqlite3.Connection, Damage | None]:
    if recovered(file).exists():
        finish(file)  # an earlier process was ended before it could
    log = file.with_name(file.name + "-wal")
    is_new = not file.exists() or file.stat().st_size == 0
    what = wal.fault(log) or (None if is_new else fault_of_header(file))
    if is_new and log.exists() and log.stat().st_size:
        what = "it is empty, but its log is not"
    if what is None:
        try:
            return _checked(file), None
        except schema.BROKEN as error:
            if is_new or not is_damage(error):
                raise
            what = str(error)
    saved = _save(file)
    aside = keep_aside(file)
    _beside(file, "saved").rename(recovered(file))
    sync(file.parent)
    finish(file)
    return _checked(file), Damage(what, aside, {states.TABLE: saved})


def _checked(file: Path) -> sqlite3.Connection:
    db = schema.connect(file)
    try:
        db.execute("BEGIN IMMEDIATE")
        if not states.check(db):
            states.create(db)
        db.execute("COMMIT")
    except BaseException:
        db.close()
        raise
    return db


def _save(file: Path) -> int:
    """Puts all rows that can be read into a new file, ``saved``; how many."""
    from .salvage import Walk, copy_with_log  # hardly ever needed
    from .scan import scan

    new, copy = _beside(file, "saved"), _beside(file, "reading")
    _remove(new)
    try:
        copy_with_log(file, copy)
        wal.bring_in(copy)
        with closing(_checked(new)) as db:
            db.execute("BEGIN IMMEDIATE")
            # What the tree still leads to goes over what is found on single pages, which may have been overwritten.
            for found in scan(copy):
                _add(db, found.values)
            with suppress(*schema.BROKEN), closing(sqlite3.connect(copy, isolation_level=None)) as source:
                source.text_factory = schema.text
                for row in Walk(source, states.TABLE, states.COLUMNS):
                    _add(db, row)
                for key in ("powered", "since_boot", "boot_id"):
                    value = schema.get(source, key)
                    if isinstance(value, int | float | str):
                        schema.put(db, key, value)
            saved = int(db.execute(f"SELECT count(*) FROM {states.TABLE}").fetchone()[0])  # noqa: S608 - a name of ours
            db.execute("COMMIT")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except BaseException:
        _remove(new)
        raise
    finally:
        _remove(copy)
    sync(new)
    return saved


def _add(db: sqlite3.Connection, row: Sequence[object]) -> None:
    if states.is_right(row[1:]):
        states.insert(db, row[1:])


def _beside(file: Path, name: str) -> Path:
    return file.with_name(f".{name}-{file.name}")


def _remove(file: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
