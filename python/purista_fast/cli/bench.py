"""``purista-fast bench``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from . import options
from .output import line, printable

if TYPE_CHECKING:
    from ..bench.report import Figure, Report
    from ..bench.suite import Step

__all__ = ("command", "is_terminal")

_ROW = "{:<3} {:<40} {:>13} {:>13} {:>8}"


@click.command("bench")
@click.argument("ids", metavar="[A B1 …]", nargs=-1)
@click.option("--quick", is_flag=True, help="Measure less often and with less: some seconds, and wider of the mark.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@options.verbose
def command(ids: tuple[str, ...], quick: bool, as_json: bool, verbose: bool) -> None:  # noqa: ARG001 - seen by the group
    """Measure how fast purista-fast is on this machine, beside a reference machine.

    A is commands and events in memory, B messages from and to bytes, C topics, E start and memory; ids choose some of
    them. No broker is needed. Nothing else should run meanwhile.
    """
    from ..bench.report import as_json as as_text
    from ..bench.report import reference
    from ..bench.suite import FULL, QUICK, measure, steps

    wanted = " ".join(ids).upper().replace(",", " ").split() or [""]
    effort = QUICK if quick else FULL
    for name in wanted:
        if not steps(effort, [name]):
            known = sorted({id for step in steps(effort) for id in step.ids})
            raise click.BadParameter(f"there is no {name}{' with --quick' * quick}; there are {', '.join(known)}")
    found = steps(effort, wanted)
    with _progress(found) as (begins, ticks):
        report = measure(found, begins, ticks)
    other = reference()
    if other is not None:
        report = report.beside(other)
    if as_json:
        line(as_text(report))
    else:
        _print(report, other)


@contextmanager
def _progress(steps: list[Step]) -> Iterator[tuple[Callable[[Step], None], Callable[[], None]]]:
    """A progress bar on a terminal, nothing elsewhere; what to call when a step begins, and at each of its ticks."""
    if not is_terminal():
        yield lambda _: None, lambda: None
        return
    with click.progressbar(
        length=sum(step.ticks for step in steps), file=sys.stderr, item_show_func=_name, show_eta=False
    ) as bar:
        yield lambda step: bar.update(0, step), lambda: bar.update(1, bar.current_item)


def is_terminal() -> bool:
    """Whether somebody sees a progress bar."""
    return sys.stderr.isatty()


def _name(step: Step | None) -> str:
    return f"{step.ids[0]} {step.what}" if step else ""


def _print(report: Report, other: Report | None) -> None:
    line(_ROW.format("", "", "here", "reference" if other else "", "").rstrip())
    for found in report.figures:
        reference = "" if found.reference is None else _shown(found.reference, found)
        ratio = "" if found.ratio is None else f"{found.ratio:.2f} ×"
        line(_ROW.format(found.id, found.what, _shown(found.value, found), reference, ratio).rstrip())
    for missing in report.missing:
        line(f"{missing.id:<3} {missing.what:<40} {missing.why}")
    line("")
    for name, one in (("here", report), ("reference", other)):
        if one is not None:
            line(printable(f"{name + ':':<10} {_described(one)}"))


def _shown(value: float, figure: Figure) -> str:
    text = f"{value:.3f}" if value < 100 else f"{value:,.0f}"
    return f"{text} {figure.unit}"


def _described(report: Report) -> str:
    """The machine and the versions."""
    machine = report.machine
    cores = machine.get("cores")
    hardware = f"{machine.get('cpu')}, {cores} core{'' if cores == 1 else 's'}, {machine.get('architecture')}"
    software = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    return f"{hardware}, {machine.get('system')}, {software}"
