"""What was measured, as data, and the figures of the reference machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

__all__ = ("REFERENCE", "Figure", "Missing", "Report", "as_json", "reference", "save")

REFERENCE = Path(__file__).with_name("reference.json")
"""Written by the repository's ``make bench``."""


class Figure(msgspec.Struct, frozen=True, omit_defaults=True):
    """One figure, and the smallest and the largest of all rounds.

    :param value: the median of the rounds; of starts the least, since everything else on a machine makes them slower.
    """

    id: str
    what: str
    unit: str
    value: float
    spread: tuple[float, float]
    reference: float | None = None
    """The same figure of the reference machine."""
    ratio: float | None = None
    """So many times that of the reference machine; above 1 is slower, or more memory."""


class Missing(msgspec.Struct, frozen=True):
    """A figure that cannot be had here, and why."""

    id: str
    what: str
    why: str


class Report(msgspec.Struct, frozen=True):
    """A run of the benchmarks."""

    machine: dict[str, Any]
    versions: dict[str, str]
    figures: list[Figure] = []
    missing: list[Missing] = []

    def beside(self, other: Report) -> Report:
        """The same report with the figures of another machine beside its own."""
        known = {(found.id, found.what): found.value for found in other.figures}
        figures = [_beside(found, known.get((found.id, found.what))) for found in self.figures]
        return msgspec.structs.replace(self, figures=figures)


def reference() -> Report | None:
    """The report of the reference machine, ``None`` if there is none."""
    try:
        return msgspec.json.decode(REFERENCE.read_bytes(), type=Report)
    except FileNotFoundError:
        return None


def save(report: Report, file: Path | None = None) -> None:
    """Writes a report, as that of the reference machine unless told otherwise."""
    (file or REFERENCE).write_text(as_json(report) + "\n", "utf-8")


def as_json(report: Report) -> str:
    """A report as JSON, indented."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode()


def _beside(found: Figure, reference: float | None) -> Figure:
    if not reference:
        return found
    return msgspec.structs.replace(found, reference=reference, ratio=round(found.value / reference, 4))
