"""The results as a table and as ``benches/results.json``."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from shutil import which

from purista_fast.bench import machine

from . import peers
from .harness import Result, Skipped
from .mqtt_broker import find

__all__ = ("FILE", "conditions", "figure", "line", "save", "short", "title", "verdict", "versions")

FILE = Path(__file__).with_name("results.json")
_ROW = "{:<3} {:<42} {:>10} {:>10} {:<4} {:>7} {:>13} {:<16} {:<5} {}"
_PEERS = ("bubus", "faststream", "pydantic", "zmqtt")


def title() -> str:
    """The first line of the table."""
    return _ROW.format("", "medians", "ours", "peer", "", "ratio", "spread", "goal", "met", "peer")


def line(result: Result | Skipped) -> str:
    """One line of the table."""
    if isinstance(result, Skipped):
        return f"{result.id:<3} {result.what:<42} not measured: {result.why}"
    met = {True: "yes", False: "NO", None: ""}[result.met]
    ratio = "" if result.ratio is None else short(result.ratio)
    spread = "" if result.spread is None else "…".join(short(value) for value in result.spread)
    goal = str(result.goal or "")
    figures = figure(result.ours), figure(result.peer), result.unit, ratio, spread
    return _ROW.format(result.id, result.what, *figures, goal, met, result.peer_name).rstrip()


def verdict(results: Sequence[Result], skipped: Sequence[Skipped], failed: Sequence[str]) -> str:
    """How many goals were reached, which were not, what was not measured, and what failed."""
    judged = [result for result in results if result.goal]
    missed = [result.id for result in judged if not result.met]
    return "\n".join(
        f"{text}: {', '.join(dict.fromkeys(names))}" if names else text
        for text, names in (
            (f"{len(judged) - len(missed)} of {len(judged)} goals met", []),
            ("missed", missed),
            ("not measured", [one.id for one in skipped]),
            ("failed", list(failed)),
        )
        if names or text.endswith("met")
    )


def save(results: Sequence[Result], skipped: Sequence[Skipped]) -> Path:
    """Writes the file and returns where it is."""
    report = {
        "machine": machine.machine(),
        "versions": versions(),
        "results": [result.as_dict() for result in results],
        "skipped": [one.as_dict() for one in skipped],
    }
    FILE.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return FILE


def versions() -> dict[str, str]:
    """Of everything that takes part, the peers included."""
    found = {
        **machine.versions(),
        "paho-mqtt": version("paho-mqtt"),
        **peers.versions(*_PEERS),
        "mosquitto": _version(find(), "-h"),
        "valgrind": _version(which("valgrind"), "--version"),
    }
    return {name: text for name, text in found.items() if text}


def conditions() -> str:
    """The machine and the versions in some words."""
    here, used = machine.machine(), machine.versions()
    return f"{here['cpu']}, {here['cores']} cores, {used['python']}, purista-fast {used['purista-fast']}"


def _version(program: str | None, option: str) -> str:
    """What a program says of itself, ``""`` without it."""
    if program is None:
        return ""
    said = subprocess.run([program, option], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\d+\.\d+[.\d]*", said)
    return found[0] if found else ""


def figure(value: float | None) -> str:
    """A figure of either side, ``""`` for none."""
    return "" if value is None else f"{value:.3f}" if value < 100 else f"{value:,.0f}"


def short(value: float) -> str:
    """A ratio."""
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"
