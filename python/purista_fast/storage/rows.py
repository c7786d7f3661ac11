"""What a row of each table is made of, and whether one is what was written."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

__all__ = ("TABLES", "is_right", "is_whole")

TABLES = {
    "outbox": "seq, name, ordered, hold, powered, wall, message, crc",
    "spool": "seq, consumer, attempts, due, running, again, error, message, crc",
    "dead_letters": "seq, wall, origin, target, name, attempts, error, message, crc",
    "seen": "seq, consumer, id",
}
_KINDS: dict[str, tuple[type | tuple[type, ...], ...]] = {
    "outbox": (str, int, int, (int, float), (int, type(None)), bytes, int),
    "spool": (str, int, (int, float), int, int, str, bytes, int),
    "dead_letters": (int, str, str, str, int, str, bytes, int),
    "seen": (str, str),
}


def is_whole(message: object, crc: object) -> bool:
    """Whether a message is what was written: SQLite does not notice a flipped bit.

    None is empty; but an empty one is what a damaged row may look like, with a checksum of 0 that fits.
    """
    return isinstance(message, bytes) and message != b"" and zlib.crc32(message) == crc


def is_right(table: str, values: Sequence[object]) -> bool:
    """Whether the columns after the number are of the types that were written, and the message is what was."""
    kinds = _KINDS[table]
    if len(values) != len(kinds) or not all(map(isinstance, values, kinds)):
        return False
    return table == "seen" or is_whole(values[-2], values[-1])
