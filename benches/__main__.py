"""``python -m benches [A1 B C1]``: all benchmarks, or those whose id begins so.

Each module of :data:`MODULES` has one function, ``results(wanted) -> Iterator[Result | Skipped]``:

- it is plain (what needs an event loop runs one of its own, so that no module runs inside another's),
- ``wanted("A1")`` tells whether an id was asked for; what was not asked for is not prepared either,
- it yields each result as soon as it has it, made by :func:`~benches.harness.measure` or ``compare``,
- where a tool or a peer is missing it yields ``Skipped(id, what, why)``, with what to install, and goes on,
- an exception is a benchmark that failed: it is printed, the other modules go on.

A run of all in which nothing failed writes ``benches/results.json``, draws ``docs/bench.svg``, fills the table of
``docs/performance.md``, and runs ``purista-fast bench`` for the figures that it shows as the reference.

Exit status: 0 if every benchmark ran, whether its goal was met or not; 1 if one failed; 2 if there
is none of that name.
"""

from __future__ import annotations

import sys
import traceback
from time import monotonic

from purista_fast.bench import report as device
from purista_fast.bench import suite

from . import (
    chart,
    dispatch,
    envelope,
    growth,
    idle,
    mqtt,
    mqtt_native,
    others,
    page,
    report,
    scale,
    topic_memory,
    topics,
)
from .harness import Result, Skipped, Wanted

MODULES = (dispatch, others, scale, envelope, topics, topic_memory, mqtt, mqtt_native, idle, growth)
"""In the order of the table."""


def main(arguments: list[str]) -> int:
    started = monotonic()
    names = " ".join(arguments).replace(",", " ").split()
    wanted = Wanted(names or [""])
    results: list[Result] = []
    skipped: list[Skipped] = []
    failed: list[str] = []
    print(report.title())
    for module in MODULES:
        try:
            for found in module.results(wanted):
                print(report.line(found), flush=True)
                if isinstance(found, Skipped):
                    skipped.append(found)
                else:
                    results.append(found)
        except Exception:  # noqa: BLE001 - the others are measured nevertheless
            traceback.print_exc()
            failed.append(module.__name__)
    print(report.verdict(results, skipped, failed))
    if not results and not skipped and not failed:
        print(f"there is no benchmark {', '.join(names)}", file=sys.stderr)
        return 2
    if names or failed:
        print("nothing is written: only by a run of all of them in which none fails")
    else:
        print(*(f"written: {file}" for file in save(results, skipped)), sep="\n")
    print(f"in {(monotonic() - started) / 60:.1f} minutes")
    return 1 if failed else 0


def save(results: list[Result], skipped: list[Skipped]) -> list[str]:
    """Writes all that a run leaves behind, and returns the files."""
    files = [report.save(results, skipped), chart.save(results, report.conditions()), page.save()]
    device.save(suite.measure(suite.steps(suite.FULL), lambda _: None, lambda: None))
    root = report.FILE.parents[1]
    return [str(file.relative_to(root)) for file in (*files, device.REFERENCE)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
