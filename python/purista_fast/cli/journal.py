"""What is written for the journal of systemd: it has the time itself, and takes the priority from the line."""

from __future__ import annotations

import io
import logging
import os
from typing import TextIO

__all__ = ("is_journal", "mark")

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


def is_journal(stream: TextIO) -> bool:
    """Whether a stream ends in the journal: ``JOURNAL_STREAM`` names its device and inode."""
    named = os.environ.get("JOURNAL_STREAM")
    if not named:
        return False
    try:
        found = os.fstat(stream.fileno())
    except (OSError, io.UnsupportedOperation):
        return False  # no file behind it, as in tests
    return named == f"{found.st_dev}:{found.st_ino}"


def mark(text: str, level: int) -> str:
    """The text with the priority of a level before each line, as the journal takes it.

    >>> mark("a b", logging.WARNING)
    '<4>a b'
    """
    priority = next((number for least, number in _PRIORITIES if level >= least), 7)
    return "\n".join(f"<{priority}>{line}" for line in text.split("\n"))
