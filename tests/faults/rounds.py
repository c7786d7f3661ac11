"""How long a case is: the short form of ``make test``, or the long one of ``make faults``."""

from __future__ import annotations

import os

__all__ = ("IS_LONG", "backend", "rounds")

IS_LONG = os.environ.get("FAULTS") == "long"
_SCALE = float(os.environ.get("FAULTS_SCALE", "1"))


def rounds(short: int, long: int) -> int:
    """How many; ``FAULTS_SCALE`` scales the long form."""
    return max(short, round(long * _SCALE)) if IS_LONG else short


def backend(number: int) -> str:
    """asyncio and trio in turn."""
    return ("asyncio", "trio")[number % 2]
