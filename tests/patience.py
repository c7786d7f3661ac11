"""How long tests wait for a condition before they call it a failure."""

from __future__ import annotations

import os

__all__ = ("patient",)

_FACTOR = float(os.environ.get("TESTS_PATIENCE", "1"))


def patient(seconds: float) -> float:
    """So many seconds, times ``TESTS_PATIENCE``: what a slow or emulated machine gets before a wait has failed."""
    return seconds * _FACTOR
