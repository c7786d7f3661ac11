"""Writes ``docs/faults.md`` of what the long form found: ``python -m tests.faults.report TABLE``."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

from .peers import PEERS, configuration

__all__ = ("page",)

ROOT = Path(__file__).parents[2]
_TITLE = """\
# Under faults

What the MQTT bridge promises ([bridges](bridges.md)) is kept under fault injection, or this page would say so: made by
`make faults`, the long form of `tests/faults`; a short one runs in `make test`. Processes are real ones and so is
mosquitto. Each case has the same judge, which knows only what emitters and subscribers wrote down outside of all that a
fault touches: an emit before it was tried and after it had returned, a message when its handler began and when it had
succeeded. After the faults every confirmed emit was handled, nothing was handled that nobody emitted, payloads are
equal, first deliveries are in order (but for one message each time that a subscriber is killed, which comes as a
retry), and a fresh event passes.

- **confirmed**: emits that had returned without an error.
- **lost**: confirmed, and not handled in the end, though it should have been.
- **window**: confirmed and lost, where the documentation says so: with `durability="broker"` what the broker had
  acknowledged and not saved when it was killed, computed from its last saving.
- **duplicates**: deliveries of what had been handled already; at least once means sometimes twice.
- **recovery**: the longest time from the end of a fault until its backlog was handled, in seconds.
- **network**: `loopback` needs no link; `namespaces+netem` and `namespaces+tun` are two network namespaces, joined by
  veth with tc netem or, where the kernel has none, by TUN devices and a process that delays, loses and swallows IP
  packets; `proxy` is a TCP proxy.

A power cut is kill -9 of all, after which each file has what was synced (`fsync`, `fdatasync`) and nothing else, or a
random part of the pages that were not; its names are those of a strict file system, of one with an ordered journal, or
all. Wall clocks jump by a library that is preloaded; monotonic clocks go on, as they do in reality.
"""


def page(rows: list[dict[str, Any]], failed: list[str]) -> str:
    """The whole page."""
    parts = [_TITLE, f"Made by `{_command()}` on {_machine()}.\n"]
    if failed:
        parts.append("**Failed:** " + ", ".join(f"`{name}`" for name in failed) + "\n")
    for subject, group in groupby(sorted(rows, key=lambda row: row["subject"]), key=lambda row: row["subject"]):
        parts.append(f"## {subject}\n\n{_table(list(group))}")
    compared = [row for row in rows if row["peers"]]
    if compared:
        parts.append(_peers(compared))
    return "\n".join(parts)


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| case | network | rounds | confirmed | lost | window | duplicates | recovery | |",
        "|---|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for row in rows:
        figures = (row[name] for name in ("rounds", "confirmed", "lost", "in_window", "duplicates", "recovery"))
        cells = [row["case"], row["network"], *(f"{figure:,}" for figure in figures), row["note"].replace("|", "/")]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _peers(rows: list[dict[str, Any]]) -> str:
    names = list(PEERS)
    lines = [
        "## Beside peers\n",
        "The same machine, broker, judge and rounds; a peer that loses something fails no test. *Handler that fails*:",
        "each fifth message fails twice, then the cause is mended and the process started anew. *Backlog*: the",
        "subscriber is killed, and started again when the messages wait for it.\n",
        f"| case | | purista-fast | {' | '.join(names)} |",
        f"|---|---|--:|{'--:|' * len(names)}",
    ]
    for row in rows:
        for figure in ("confirmed", "lost", "duplicates", "recovery"):
            others = [str(row["peers"].get(name, {}).get(figure, "")) for name in names]
            lines.append(f"| {row['case']} | {figure} | {row[figure]} | {' | '.join(others)} |")
        notes = [str(row["peers"].get(name, {}).get("note", "")) for name in names]
        if any(notes):
            lines.append(f"| {row['case']} | | retried by itself | {' | '.join(notes)} |")
    lines += [f"\nHow {name} is configured:\n\n```text\n{configuration(name)}\n```" for name in names]
    return "\n".join(lines) + "\n"


def _command() -> str:
    scale = os.environ.get("FAULTS_SCALE", "1")
    return "make faults" + (f" SCALE={scale}" if scale != "1" else "")


def _machine() -> str:
    """What matters, without its name."""
    model = platform.machine()
    facts = Path("/proc/cpuinfo")
    for fact in facts.read_text("utf-8").splitlines() if facts.exists() else ():
        if fact.startswith("model name"):
            model = fact.partition(":")[2].strip()
    broker = subprocess.run(["mosquitto", "-h"], capture_output=True, text=True, check=False).stdout.splitlines()
    return (
        f"{os.cpu_count()} cores of {model}, {platform.system()} {'.'.join(platform.release().split('.')[:2])}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {broker[0] if broker else 'mosquitto'}"
    )


def main(table: str) -> None:
    found = json.loads(Path(table).read_text())
    target = ROOT / "docs" / "faults.md"
    target.write_text(page(found["rows"], found["failed"]), "utf-8")
    print(f"written: {target.relative_to(ROOT)}")


if __name__ == "__main__":
    main(sys.argv[1])
