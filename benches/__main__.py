"""``python -m benches [A1,B,C1]``: all benchmarks, or those whose id begins so.

Each module of :data:`MODULES` has one function, ``results(wanted) -> Iterator[Result | Skipped]``:

- it is plain (what needs an event loop runs one of its own, so that no module runs inside another's),
- ``wanted("A1")`` tells whether an id was asked for; what was not asked for is not prepared either,
- it yields each result as soon as it has it, made by :func:`~benches.harness.measure` or ``compare``,
- where a tool or a peer is missing it yields ``Skipped(id, what, why)``, with what to install, and goes on,
- an exception is a benchmark that failed: it is printed, the other modules go on.

Exit status: 0 if every benchmark ran, whether its goal was met or not; 1 if one failed.
"""

from __future__ import annotations

import sys
import traceback

from . import dispatch, envelope, mqtt, report, scale, topics
from .harness import Result, Skipped, Wanted

MODULES = (dispatch, scale, envelope, topics, mqtt)
"""In the order of the table."""


def main(arguments: list[str]) -> int:
    wanted = Wanted(arguments[0].upper().split(",") if arguments else ("",))
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
    if arguments or failed:
        print("results.json is written by a complete run only")
    else:
        print(f"written to {report.save(results, skipped).name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
