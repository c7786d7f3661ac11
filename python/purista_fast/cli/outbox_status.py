"""``purista-fast outbox status``."""

from __future__ import annotations

import shutil
import sqlite3
from typing import Any

import click
import msgspec

from ..storage import dead_letters, outbox
from .kept import Kept, NothingKept, kept
from .output import line, printable
from .wording import age, escaped, size

__all__ = ("command", "status_of")


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@kept()
def command(kept: Kept, as_json: bool) -> None:
    """Print how much is kept on disk, how old it is, and what was dropped."""
    found = _look(kept)
    above = None if kept.uplink is None else _look(kept.uplink)
    if as_json:
        shown = found if above is None else {**found, "uplink": above}
        line(escaped(msgspec.json.format(msgspec.json.encode(shown), indent=2).decode()))
        return
    _print_all(kept, found)
    if kept.uplink is not None and above is not None:
        line("\nuplink")
        _print_all(kept.uplink, above)


def _look(kept: Kept) -> dict[str, Any]:
    try:
        with kept.read() as db:
            return status_of(kept, db) | _disk(kept)
    except NothingKept:
        return {"file": None} | _disk(kept)


def _print_all(kept: Kept, found: dict[str, Any]) -> None:
    if found["file"] is None:
        line(printable(f"nothing is kept on disk: there is no {kept.file}"))
    else:
        _print(found)
    _print_aside(kept)


def status_of(kept: Kept, db: sqlite3.Connection) -> dict[str, Any]:
    """What is kept, as plain data. Sizes are bytes, ages seconds."""
    settings, clock = kept.settings, kept.clock(db)
    totals, oldest = outbox.totals(db), outbox.oldest(db)
    events = db.execute(
        f"SELECT name, count(*), total(length(message)) + count(*) * {outbox.OVERHEAD} FROM outbox"  # noqa: S608 - a number of ours
        " GROUP BY name ORDER BY 2 DESC, 1"
    )
    waiting, retry, running, length = db.execute(
        "SELECT count(*) FILTER (WHERE due = 0 AND NOT running), count(*) FILTER (WHERE due > 0 AND NOT running),"
        " count(*) FILTER (WHERE running), total(length(message)) FROM spool"
    ).fetchone()
    consumers = db.execute("SELECT consumer, count(*) FROM spool GROUP BY consumer ORDER BY 2 DESC, 1").fetchall()
    letters, letters_size = dead_letters.count(db)
    return {
        "file": str(kept.file),
        "running": kept.is_running(),
        "outbox": {
            "messages": totals.messages,
            "bytes": totals.bytes,
            "hold": totals.hold,
            "oldestAge": clock.age(oldest) if oldest else None,
            "events": {name: {"messages": count, "bytes": int(total)} for name, count, total in events},
            "dropped": outbox.drops(db),
            "limits": {
                "messages": settings.outbox.max_messages,
                "bytes": settings.outbox.max_bytes,
                "age": min(settings.outbox.max_age, settings.bridge.message_expiry),
            },
        },
        "retries": {
            "messages": waiting + retry + running,
            "bytes": int(length),
            "waiting": waiting,
            "retry": retry,
            "running": running,
            "subscriptions": dict(consumers),
            "limits": {"messages": settings.retries.max_messages, "bytes": settings.retries.max_bytes},
        },
        "deadLetters": {
            "messages": letters,
            "bytes": letters_size,
            "limits": {"messages": settings.dead_letters.max_messages, "bytes": settings.dead_letters.max_bytes},
        },
    }


def _disk(kept: Kept) -> dict[str, Any]:
    present = next(folder for folder in (kept.folder, *kept.folder.absolute().parents) if folder.exists())
    return {
        "aside": [{"file": str(path), "bytes": path.stat().st_size} for path in kept.aside()],
        "disk": {"free": shutil.disk_usage(present).free},
    }


def _print(found: dict[str, Any]) -> None:
    sent, retries, letters = found["outbox"], found["retries"], found["deadLetters"]
    limits = sent["limits"]
    line(printable(f"file          {found['file']}, {'in use' if found['running'] else 'no application runs'}"))
    line(
        f"outbox        {sent['messages']} of {limits['messages']} events, {size(sent['bytes'])} of"
        f" {size(limits['bytes'])}, the oldest {age(sent['oldestAge'])} of {age(limits['age'])};"
        f" {sent['hold']} stay until the broker has saved them"
    )
    for name, counts in sent["events"].items():
        line(printable(f"                {name}: {counts['messages']}, {size(counts['bytes'])}"))
    dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(sent["dropped"].items()))
    line(printable(f"dropped       {dropped or 'none'}"))
    line(
        f"retries       {retries['messages']} of {retries['limits']['messages']} messages, {size(retries['bytes'])} of"
        f" {size(retries['limits']['bytes'])}: {retries['waiting']} wait, {retries['retry']} for another attempt,"
        f" {retries['running']} being handled"
    )
    for name, count in retries["subscriptions"].items():
        line(printable(f"                {name}: {count}"))
    line(
        f"dead letters  {letters['messages']} of {letters['limits']['messages']}, {size(letters['bytes'])} of"
        f" {size(letters['limits']['bytes'])}"
    )
    line(f"disk          {size(found['disk']['free'])} free")


def _print_aside(kept: Kept) -> None:
    for path in kept.aside():
        line(printable(f"set aside     {path}, {size(path.stat().st_size)}: read it with `outbox export --file`"))
