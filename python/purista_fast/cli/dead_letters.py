"""``purista-fast dead-letters``."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

import click
import msgspec

from ..storage import dead_letters
from ..storage.dead_letters import DeadLetter
from .kept import DURATION, Kept, kept
from .output import line, note, printable
from .wording import confirm, escaped, json_line, moment, table, wire

__all__ = ("command",)


@click.group("dead-letters")
def command() -> None:
    """Messages that were given up: look at them, send them back, delete them.

    Works beside a running application and without one.
    """


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print each as one line of JSON, without its message.")
@kept()
def list_(kept: Kept, as_json: bool) -> None:
    """List the dead letters, the oldest first."""
    with kept.read() as db:
        found = [_about(letter) for letter in dead_letters.list_all(db)]
    if as_json:
        for about in found:
            line(json_line(about))
    elif found:
        head = ("number", "when", "origin", "target", "event", "attempts", "error")
        table(head, [[str(value if value is not None else "-") for value in about.values()] for about in found])
    else:
        note("there are no dead letters")


@command.command("show")
@kept("N")
def show(kept: Kept, numbers: list[int]) -> None:
    """Print all of a dead letter as JSON, its message included."""
    if len(numbers) != 1:
        raise click.UsageError("name one number")
    with kept.read() as db:
        letter = _find(db, numbers[0])
    found = {**_about(letter), **wire(letter.message, whole=letter.is_whole)}
    line(escaped(msgspec.json.format(msgspec.json.encode(found), indent=2).decode("utf-8", "replace")))


@command.command("redrive")
@click.option("--all", "everything", is_flag=True, help="All that have somewhere to go.")
@click.option("--target", metavar="SERVICE/1/NAME", help="Those of this subscription.")
@kept("[N]...")
def redrive(kept: Kept, numbers: list[int], everything: bool, target: str | None) -> None:
    """Send dead letters back to where they come from, as if they were new.

    Those of a subscription are handled again, those of the outbox are sent again.
    """
    if sum((bool(numbers), everything, target is not None)) != 1:
        raise click.UsageError("say which: numbers, --all, or --target SERVICE/1/NAME")
    with kept.write() as db:
        now = kept.clock(db).now()
        letters = (
            [_find(db, number) for number in dict.fromkeys(numbers)] if numbers else list(dead_letters.list_all(db))
        )
        if target is not None:
            letters = [letter for letter in letters if letter.origin == "subscription" and letter.target == target]
        refused = [letter for letter in letters if not letter.can_go_back]
        if numbers and refused:
            raise click.ClickException(
                f"{_why(refused[0])}; nothing was sent back. Look at it with `dead-letters show`, `purge` it, or keep "
                "it with `outbox export --dead-letters`"
            )
        sent = [letter for letter in letters if letter.can_go_back]
        for letter in sent:
            dead_letters.redrive(db, letter, now)
    for letter in refused:
        note(printable(_why(letter)))
    to = sorted({letter.target if letter.origin == "subscription" else "the outbox" for letter in sent})
    line(printable(f"{len(sent)} dead letters sent back" + (f" to {', '.join(to)}" if to else "")))
    if sent:
        note(
            "the running application takes them up within some seconds"
            if kept.is_running()
            else "no application runs here: it takes them up when it starts"
        )


@command.command("purge")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--older", type=DURATION, metavar="TIME", help="Those that are older, such as 30d.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@kept("[N]...")
def purge(kept: Kept, numbers: list[int], everything: bool, older: float | None, yes: bool) -> None:
    """Delete dead letters for good."""
    if sum((bool(numbers), everything, older is not None)) != 1:
        raise click.UsageError("say which: numbers, --all, or --older TIME")
    before = None if older is None else int((time.time() - older) * 1000)
    with kept.read() as db:
        chosen = [
            letter.seq
            for letter in ([_find(db, number) for number in numbers] if numbers else dead_letters.list_all(db))
            if before is None or letter.wall < before
        ]
    if not chosen:
        line("nothing to delete")
        return
    if not yes:
        confirm(f"Delete {len(chosen)} dead letters?")
    with kept.write() as db:
        count = dead_letters.purge(db, chosen)
    line(f"{count} dead letters deleted")


def _find(db: sqlite3.Connection, number: int) -> DeadLetter:
    letter = dead_letters.find(db, number) if number < 1 << 63 else None
    if letter is None:
        raise click.ClickException(f"there is no dead letter {number}; `purista-fast dead-letters list` shows them")
    return letter


def _about(letter: DeadLetter) -> dict[str, Any]:
    return {
        "number": letter.seq,
        "when": moment(letter.wall),
        "origin": letter.origin,
        "target": letter.target or None,
        "event": letter.name or None,
        "attempts": letter.attempts,
        "error": letter.error,
    }


def _why(letter: DeadLetter) -> str:
    """Why one cannot go back."""
    if not letter.is_whole:
        return f"dead letter {letter.seq} is damaged: its bytes are not those that were written"
    return f"dead letter {letter.seq} ({letter.origin}) has nowhere to go back to"
