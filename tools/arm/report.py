"""The report of a proof, a text for ``docs/arm``, and the table of all of them in ``docs/arm.md``."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from tools.arm.proof import COMPILERS, Proof
from tools.arm.systems import HERE, REPOSITORY, SYSTEMS

__all__ = ("names_without_test", "text", "write_table")

_BENCH = "purista-fast bench --quick, emulated: these figures say nothing of a device"
_ROW = "{:<24}{:>8}{:>8}{:>9}{:>10}"


def names_without_test(proof: Proof) -> list[str]:
    """The lines of ``cannot.toml`` that leave nothing out."""
    left_out = _left_out(proof)
    return [name for name in _reasons(proof) if name not in left_out]


def text(proof: Proof) -> str:
    """The report."""
    done = {name: "exit code 0" if name in proof.notes else "not done" for name in ("demo", "bench")}
    lines = [
        f"{SYSTEMS[proof.name]}, emulated. Made by `make test-arm ROOT={proof.name}`.",
        "",
        f"{'emulator':<12} qemu {proof.notes.get('emulator', '')}",
        *proof.notes.get("system", "").splitlines(),
        f"{'no compiler':<12} none of {', '.join(COMPILERS)}",
        f"{'install':<12} pip install --no-index --find-links … purista-fast: {done['demo']}",
        f"{'demo':<12} purista-fast demo --seconds 5: {done['demo']}",
        "",
        _ROW.format("tests", "passed", "failed", "skipped", "left out"),
    ]
    sums = dict.fromkeys(("passed", "failed", "skipped", "left_out"), 0)
    for suite in proof.suites:
        result = proof.results.get(suite)
        if result is None:
            lines.append(f"{suite:<24}  not done")
            continue
        lines.append(_ROW.format(suite, *(result["counts"][kind] for kind in sums)))
        sums = {kind: number + result["counts"][kind] for kind, number in sums.items()}
    lines.append(_ROW.format("all", *sums.values()))
    lines += _block("failed", [*proof.faults, *_all(proof, "failures")])
    lines += _block("skipped by the tests themselves", _all(proof, "skips"))
    reasons = _reasons(proof)
    lines += _block(
        "left out, and why", [f"{name} ({number}): {reasons[name]}" for name, number in _left_out(proof).items()]
    )
    lines += _block(_BENCH, proof.notes.get("bench", "not done").splitlines())
    return "\n".join(lines) + "\n"


def write_table() -> None:
    """Puts what the reports count into the page."""
    rows = ["| system | report | passed | failed | skipped | left out |", "|---|---|--:|--:|--:|--:|"]
    for name, system in SYSTEMS.items():
        report = REPOSITORY / "docs" / "arm" / f"{name}.txt"
        if report.exists():
            counts = re.search(r"^all +(\d+) +(\d+) +(\d+) +(\d+)$", report.read_text("utf-8"), re.MULTILINE)
            assert counts is not None
            rows.append(f"| {system} | [{name}](arm/{name}.txt) | {' | '.join(counts.groups())} |")
    page = REPOSITORY / "docs" / "arm.md"
    begin, end = "<!-- Made by `make test-arm`: -->\n", "<!-- end -->\n"
    before, _, rest = page.read_text("utf-8").partition(begin)
    table = "\n".join(rows)
    page.write_text(f"{before}{begin}{table}\n{end}{rest.partition(end)[2]}", "utf-8")


def _reasons(proof: Proof) -> dict[str, str]:
    table: list[dict[str, Any]] = tomllib.loads((HERE / "cannot.toml").read_text("utf-8"))["test"]
    return {row["name"]: row["reason"] for row in table if proof.name in row.get("roots", [proof.name])}


def _left_out(proof: Proof) -> dict[str, int]:
    return {name: number for result in proof.results.values() for name, number in result["left_out"].items()}


def _all(proof: Proof, kind: str) -> list[str]:
    return [line for result in proof.results.values() for line in result[kind]]


def _block(title: str, lines: list[str]) -> list[str]:
    return ["", f"{title}:", *(f"  {line}".rstrip() for line in lines or ["none"])]
