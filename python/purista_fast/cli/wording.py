"""Ages, sizes, moments and messages of what is kept on disk, as they are printed."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from .output import line, printable

__all__ = ("age", "confirm", "escaped", "json_line", "moment", "size", "table", "wire")


def age(seconds: float | None) -> str:
    """A time span, for people.

    >>> age(5), age(90), age(7200), age(3 * 86400), age(None)
    ('5 s', '1 min 30 s', '2 h 0 min', '3 d 0 h', '-')
    """
    if seconds is None:
        return "-"
    whole = int(seconds)
    for longer, shorter, names in ((86400, 3600, ("d", "h")), (3600, 60, ("h", "min")), (60, 1, ("min", "s"))):
        if whole >= longer:
            return f"{whole // longer} {names[0]} {whole % longer // shorter} {names[1]}"
    return f"{whole} s"


def size(number: float) -> str:
    """Bytes, for people.

    >>> size(100), size(2048), size(5 * 1024 * 1024)
    ('100 B', '2.0 KiB', '5.0 MiB')
    """
    if number < 1024:
        return f"{int(number)} B"
    for unit in ("KiB", "MiB"):
        number /= 1024
        if number < 1024:
            return f"{number:.1f} {unit}"
    return f"{number / 1024:.1f} GiB"


def moment(wall: object) -> str | None:
    """Milliseconds since 1970 in ISO 8601, UTC.

    >>> moment(0)
    '1970-01-01T00:00:00.000+00:00'
    """
    if not isinstance(wall, int):
        return None
    try:
        return datetime.fromtimestamp(wall / 1000, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError, OSError):
        return None


def wire(message: object, *, whole: bool = True) -> dict[str, Any]:
    """A message as it went over the wire, or its bytes in base64 if they are no JSON any more."""
    if not isinstance(message, bytes):  # its type is damaged
        message, whole = str(message).encode(), False
    try:
        # Numbers and the order of keys stay as they were sent.
        decoded = msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        decoded = None
    if isinstance(decoded, dict) and whole:
        return {"message": msgspec.Raw(message)}
    return {"message": None, "damaged": base64.b64encode(message).decode()}


def json_line(value: Any) -> str:
    """JSON on one line, with everything escaped that a terminal would obey.

    >>> json_line({"a": "\\x9b2J"})
    '{"a":"\\\\u009b2J"}'
    """
    text = msgspec.json.format(msgspec.json.encode(value), indent=-1).decode("utf-8", "replace")
    return escaped(text)


def escaped(text: str) -> str:
    """JSON with everything escaped that a terminal would obey; line ends stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else _escape(c) for c in text)


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints columns; all but the last are padded."""
    cells = [tuple(head), *(tuple(printable(cell) for cell in row) for row in rows)]
    widths = [min(max(len(row[column]) for row in cells), 40) for column in range(len(head) - 1)]
    for row in cells:
        padded = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)]
        line("  ".join([*padded, row[-1]]).rstrip())


def confirm(question: str) -> None:
    """Asks before something is deleted.

    :raises click.ClickException: unless the answer is yes.
    """
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        raise click.ClickException("nobody answered, so nothing was deleted; --yes deletes without asking") from None
    if not agreed:
        raise click.ClickException("nothing was deleted")
