"""``purista-fast outbox check``."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator

import click

from ..storage import schema, wal
from ..storage.rows import is_whole
from .kept import Kept, kept
from .output import line, printable
from .wording import size

__all__ = ("command",)

_FREE = 16 * 1024 * 1024
"""How many bytes have to be free at least."""
_LOG = 8 * 1024 * 1024
"""A log above this size is not brought in."""
_TABLES = ("outbox", "spool", "dead_letters")
_BATCH = 256


@click.command("check")
@kept()
def command(kept: Kept) -> None:
    """Look for damage, rights that are too wide, and a disk that gets full; exit code 1 if there is any."""
    with kept.read() as db:
        faults = [*_damage(db), *_log(kept), *_rights(kept), *_room(kept)]
        rows = 0 if faults else sum(_count(db, table) for table in _TABLES)
    faults += [
        f"{path.name} was damaged and set aside: read it with `purista-fast outbox export --file {path}`, then remove "
        "it; look at the disk's health"
        for path in kept.aside()
    ]
    for fault in faults:
        line(printable(fault))
    if faults:
        raise click.ClickException(f"{len(faults)} faults in {kept.folder}")
    line(printable(f"{kept.file}: {rows} messages are whole, nothing is wrong"))


def _damage(db: sqlite3.Connection) -> Iterator[str]:
    try:
        found = [row[0] for row in db.execute("PRAGMA integrity_check(10)")]
    except schema.BROKEN as error:
        found = [str(error)]
    if found != ["ok"]:
        yield (
            f"the file is damaged: {'; '.join(found)}: restart the application, which sets it aside and saves what can "
            "be read"
        )
    for table in _TABLES:
        numbers = list(_changed(db, table))
        if numbers:
            yield (
                f"{table}: the bytes of {len(numbers)} messages are not those that were written (numbers "
                f"{', '.join(map(str, numbers[:10]))}{', …' if len(numbers) > 10 else ''}): the application makes dead "
                "letters of them; look at the disk's health"
            )


def _log(kept: Kept) -> Iterator[str]:
    # While it is written there is no telling.
    fault = None if kept.is_running() else wal.fault(kept.file.with_name(kept.file.name + "-wal"))
    if fault is not None:
        yield f"{fault}: start the application, which brings in what there is"


def _changed(db: sqlite3.Connection, table: str) -> Iterator[int]:
    last = 0
    try:
        while True:
            found = db.execute(
                f"SELECT seq, message, crc FROM {table} WHERE seq > ? ORDER BY seq LIMIT {_BATCH}",  # noqa: S608 - names of ours
                (last,),
            ).fetchall()
            yield from (seq for seq, message, crc in found if not is_whole(message, crc))
            if not found:
                return
            last = found[-1][0]
    except schema.BROKEN:
        return  # the check of the file as a whole has told


def _count(db: sqlite3.Connection, table: str) -> int:
    return int(db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 - a name of ours


def _rights(kept: Kept) -> Iterator[str]:
    for path in (kept.folder, kept.file, *kept.folder.glob("messages.*")):
        mode = path.stat().st_mode & 0o777
        wanted = 0o700 if path.is_dir() else 0o600
        if mode & ~wanted:
            yield f"{path} can be read by others (mode {mode:o}): chmod {wanted:o} {path}"


def _room(kept: Kept) -> Iterator[str]:
    free = shutil.disk_usage(kept.folder).free
    if free < _FREE:
        yield f"the disk has {size(free)} left: events are refused with 507 when it is full; free some"
    if os.statvfs(kept.folder).f_flag & os.ST_RDONLY:
        yield "the disk is read-only: nothing can be kept; mount it for writing, and look why it is not"
    log = kept.file.with_name(kept.file.name + "-wal")
    if log.exists() and log.stat().st_size > _LOG:
        yield (
            f"{log.name} has grown to {size(log.stat().st_size)}: a process that reads the file for long keeps it from "
            "being brought in; end that"
        )
