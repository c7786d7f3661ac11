"""``purista-fast outbox``."""

from __future__ import annotations

import sqlite3

import click

from ..storage import outbox
from ..storage.clock import Moment
from .kept import DURATION, Kept, kept
from .outbox_check import command as check
from .outbox_export import command as export
from .outbox_status import command as status
from .output import line, note
from .wording import age, confirm, size, table

__all__ = ("command",)

_BATCH = 500


@click.group("outbox")
def command() -> None:
    """What an instance keeps on disk: events to send, messages to handle.

    Works beside a running application and without one.
    """


@command.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="Print at most so many.")
@click.option("--event", metavar="NAME", help="Only events of this name.")
@kept()
def list_(kept: Kept, limit: int, event: str | None) -> None:
    """List the events in the outbox, the oldest first."""
    where, values = ("WHERE name = ?", (event,)) if event is not None else ("", ())
    with kept.read() as db:
        clock = kept.clock(db)
        total = db.execute(f"SELECT count(*) FROM outbox {where}", values).fetchone()[0]  # noqa: S608 - a condition of ours
        columns = "seq, name, length(message), CAST(powered AS REAL), CAST(wall AS INTEGER), hold"
        found = db.execute(
            f"SELECT {columns} FROM outbox {where} ORDER BY seq LIMIT ?",  # noqa: S608 - names and a condition of ours
            (*values, limit),
        ).fetchall()
    now = clock.now()
    rows = [
        (str(seq), name, size(length), age(clock.age(Moment(powered, wall), now)), "hold" if hold else "waiting")
        for seq, name, length, powered, wall, hold in found
    ]
    if rows:
        table(("number", "event", "size", "age", "state"), rows)
    if total > len(rows):
        note(f"{total - len(rows)} more; --limit shows them")
    elif not rows:
        note("the outbox is empty")


@command.command("purge")
@click.option("--all", "everything", is_flag=True, help="All events.")
@click.option("--event", metavar="NAME", help="Those of this name.")
@click.option("--older", type=DURATION, metavar="TIME", help="Those that are older, such as 7d.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@kept()
def purge(kept: Kept, everything: bool, event: str | None, older: float | None, yes: bool) -> None:
    """Delete events that have not been sent; they are lost.

    With --event and --older both have to be so.
    """
    if everything == (event is not None or older is not None):
        raise click.UsageError("say what is to be deleted: --all, or --event NAME, --older TIME, or both")
    with kept.read() as db:
        count = len(_chosen(kept, db, event, older))
    if not count:
        line("nothing to delete")
        return
    if not yes:
        confirm(f"Delete {count} events that have not been sent?")
    with kept.write() as db:
        # What has come since was not asked for, unless it is what was described.
        numbers = _chosen(kept, db, event, older)
        for start in range(0, len(numbers), _BATCH):
            outbox.delete(db, numbers[start : start + _BATCH])
        if numbers:
            outbox.count_drops(db, "purged", len(numbers))
    line(f"{len(numbers)} events deleted")


def _chosen(kept: Kept, db: sqlite3.Connection, event: str | None, older: float | None) -> list[int]:
    clock = kept.clock(db)
    now = clock.now()
    found = db.execute("SELECT seq, name, CAST(powered AS REAL), CAST(wall AS INTEGER) FROM outbox ORDER BY seq")
    return [
        seq
        for seq, name, powered, wall in found
        if (event is None or name == event) and (older is None or clock.age(Moment(powered, wall), now) > older)
    ]


command.add_command(status)
command.add_command(export)
command.add_command(check)
