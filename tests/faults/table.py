"""The rows of the report, and ``docs/faults.md`` made of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from .oracle import Verdict

__all__ = ("Row", "Table")


@dataclass(slots=True)
class Row:
    """One case."""

    subject: str
    case: str
    network: str
    rounds: int
    confirmed: int
    lost: int
    in_window: int
    duplicates: int
    recovery: float
    note: str = ""
    peers: dict[str, dict[str, Any]] = field(default_factory=dict)


class Table:
    """Collects rows."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(
        self,
        subject: str,
        case: str,
        verdict: Verdict,
        *,
        rounds: int = 1,
        network: str = "loopback",
        note: str = "",
        peers: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        """Notes what a case came to, also if it is bad.

        :raises AssertionError: if a promise was broken.
        """
        self.rows.append(
            Row(
                *(subject, case, network, rounds, verdict.confirmed, len(verdict.lost), verdict.in_window),
                *(verdict.duplicates, round(verdict.recovery, 2), note, peers or {}),
            )
        )
        verdict.check()

    def dump(self) -> list[dict[str, Any]]:
        return [asdict(row) for row in self.rows]

    def lines(self) -> list[str]:
        """For a terminal."""
        return [
            f"{row.subject}: {row.case} [{row.network}] rounds={row.rounds} confirmed={row.confirmed} lost={row.lost} "
            f"in_window={row.in_window} duplicates={row.duplicates} worst_recovery={row.recovery}s {row.note}".rstrip()
            for row in self.rows
        ]
