"""What an examination finds."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ("Finding", "Level", "broken", "ok", "warn")

Level = Literal["ok", "warn", "broken"]


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One finding. ``broken`` breaks a promise, ``warn`` may, or costs something."""

    level: Level
    subject: str
    """What was looked at, in a word or two; stable, for machines."""
    text: str
    """What is the case."""
    change: str = ""
    """What to change: the very line, or the option."""
    cost: str = ""
    """What it costs to leave it."""


def ok(subject: str, text: str) -> Finding:
    """All is well."""
    return Finding("ok", subject, text)


def warn(subject: str, text: str, change: str = "", cost: str = "") -> Finding:
    """Something may fail, or costs something."""
    return Finding("warn", subject, text, change, cost)


def broken(subject: str, text: str, change: str = "", cost: str = "") -> Finding:
    """A promise does not hold."""
    return Finding("broken", subject, text, change, cost)
