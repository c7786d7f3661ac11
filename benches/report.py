"""The results as a table and as ``benches/results.json``."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from purista_fast import _core

from .harness import ROUNDS, Result, Skipped

__all__ = ("line", "save", "title", "verdict")

FILE = Path(__file__).with_name("results.json")
_ROW = "{:<3} {:<42} {:>10} {:>10} {:<4} {:>7} {:>13} {:<16} {:<5} {}"


def title() -> str:
    """The first line of the table."""
    return _ROW.format("", "medians", "ours", "peer", "", "ratio", "spread", "goal", "met", "peer")


def line(result: Result | Skipped) -> str:
    """One line of the table."""
    if isinstance(result, Skipped):
        return f"{result.id:<3} {result.what:<42} not measured: {result.why}"
    met = {True: "yes", False: "NO", None: ""}[result.met]
    ratio = "" if result.ratio is None else f"{result.ratio:.2f}"
    spread = "" if result.spread is None else "{:.2f}…{:.2f}".format(*result.spread)
    goal = str(result.goal or "")
    figures = _figure(result.ours), _figure(result.peer), result.unit, ratio, spread
    return _ROW.format(result.id, result.what, *figures, goal, met, result.peer_name)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}" if value < 100 else f"{value:,.0f}"


def verdict(results: Sequence[Result], skipped: Sequence[Skipped], failed: Sequence[str]) -> str:
    """How many goals were reached, what was not measured, and what failed."""
    judged = [result for result in results if result.goal]
    met = f"{sum(bool(result.met) for result in judged)} of {len(judged)} goals met; medians of {ROUNDS} rounds"
    missing = f"not measured: {', '.join(dict.fromkeys(one.id for one in skipped))}" if skipped else ""
    return "; ".join(filter(None, (met, missing, f"failed: {', '.join(failed)}" if failed else "")))


def save(results: Sequence[Result], skipped: Sequence[Skipped]) -> Path:
    """Writes the file and returns where it is."""
    report = {
        "machine": machine(),
        "versions": versions(),
        "results": [result.as_dict() for result in results],
        "skipped": [one.as_dict() for one in skipped],
    }
    FILE.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return FILE


def machine() -> dict[str, Any]:
    """What matters for speed, without the name of the machine."""
    model = platform.processor() or platform.machine()
    facts = Path("/proc/cpuinfo")
    for fact in facts.read_text("utf-8").splitlines() if facts.exists() else ():
        if fact.startswith("model name"):
            model = fact.partition(":")[2].strip()
    return {"cpu": model, "cores": os.cpu_count(), "architecture": platform.machine(), "system": platform.system()}


def versions() -> dict[str, str]:
    """Of everything that takes part."""
    packages = {name: version(name) for name in ("anyio", "msgspec", "paho-mqtt", "trio")}
    return {
        "purista-fast": f"{_core.__version__} ({_core.build_profile})",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        **packages,
    }
