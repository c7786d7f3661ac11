"""``purista-fast outbox export``."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import click

from ..storage import damage, schema
from ..storage.reading import copied
from ..storage.rows import is_whole
from ..storage.salvage import salvage
from .kept import Kept, kept
from .output import line, note, printable
from .wording import json_line, moment, wire

__all__ = ("command",)

_BATCH = 256
_COLUMNS = {
    "outbox": "name AS event, hold, wall AS since",
    "spool": "consumer AS subscription, attempts, error",
    "dead_letters": "name AS event, wall AS since, origin, target, attempts, error",
}


@click.command("export")
@click.option("--spool", "stores", flag_value="spool", multiple=True, help="What subscriptions have still to handle.")
@click.option("--dead-letters", "stores", flag_value="dead_letters", multiple=True, help="Dead letters.")
@click.option("--file", "path", metavar="PATH", help="Read this file, damaged or set aside as it may be.")
@kept(optional=True)
def command(kept: Kept | None, stores: tuple[str, ...], path: str | None) -> None:
    """Print messages as lines of JSON: the events in the outbox, or what is chosen.

    Each line has the number of the message, since when it is there, and the message as it goes over the wire. A file
    that is read with --file stays as it is.
    """
    if (kept is None) == (path is None):
        raise click.UsageError("name the application, as module:app, its folder, with --state, or a file, with --file")
    with kept.read() if kept is not None else _any_file(Path(str(path))) as db:
        for store in stores or ("outbox",):
            for row in _rows(db, store):
                line(json_line(row))


def _rows(db: sqlite3.Connection, store: str) -> Iterator[dict[str, Any]]:
    """The rows of a table. They are read in pieces, so that a slow reader does not keep an application's log."""
    select = (
        f"SELECT seq AS number, {_COLUMNS[store]}, message, crc FROM {store} WHERE seq > ? ORDER BY seq LIMIT {_BATCH}"  # noqa: S608 - names of ours
    )
    last = 0
    while True:
        cursor = db.execute(select, (last,))
        names = [column[0] for column in cursor.description]
        found = cursor.fetchall()
        for values in found:
            row = dict(zip(names, values, strict=True))
            message, crc = row.pop("message"), row.pop("crc")
            if "since" in row:
                row["since"] = moment(row["since"])
            if "hold" in row:
                row["hold"] = bool(row["hold"])
            last = row["number"]
            yield {"store": store, **row, **wire(message, whole=is_whole(message, crc))}
        if len(found) < _BATCH:
            return


@contextmanager
def _any_file(file: Path) -> Iterator[sqlite3.Connection]:
    """A file of any state, of which a copy is read."""
    with ExitStack() as stack:
        try:
            copy = stack.enter_context(copied(file))
            try:
                db = stack.enter_context(closing(schema.connect(copy, create=False)))
                damage.check(db)
                if not schema.is_current(db):
                    raise sqlite3.DatabaseError("malformed: it has no tables of messages")
            except schema.BROKEN as error:
                note(printable(f"{file} is damaged ({error}); what can be read of it follows"))
                db = stack.enter_context(closing(_saved(file, copy.parent)))
        except RuntimeError as error:
            raise click.ClickException(f"{file}: {error}") from None
        except OSError as error:
            raise click.ClickException(f"{file} cannot be read: {error.strerror}") from None
        yield db


def _saved(file: Path, folder: Path) -> sqlite3.Connection:
    """A new file in a folder with what can be read of a damaged one."""
    new = folder / "saved.db"
    db = schema.connect(new)
    schema.create(db)
    if not any(salvage(file, db, new, folder / "reading.db").values()):
        note("nothing of it can be read")
    return db
