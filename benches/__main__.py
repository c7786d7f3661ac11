"""``python -m benches [A1,B,C1]``: all benchmarks, or those whose id begins so."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import anyio

from . import dispatch, envelope, report, topics
from .harness import Case, Result, measure


async def run(cases: Iterable[Case], wanted: tuple[str, ...], results: list[Result]) -> None:
    """Measures the wanted ones and prints each as it comes."""
    for case in cases:
        if case.id.startswith(wanted):
            results.append(await measure(case))
            print(report.line(results[-1]), flush=True)


async def run_dispatch(backend: str, wanted: tuple[str, ...], results: list[Result]) -> None:
    async with dispatch.cases(backend) as cases:
        await run(cases, wanted, results)


def main(arguments: list[str]) -> None:
    wanted = tuple(arguments[0].upper().split(",")) if arguments else ("",)
    results: list[Result] = []
    print(report.title())
    for backend in ("asyncio", "trio"):
        anyio.run(run_dispatch, backend, wanted, results, backend=backend)
    anyio.run(run, envelope.cases(), wanted, results)
    anyio.run(run, topics.cases(), wanted, results)
    print(report.verdict(results))
    if arguments:
        print("results.json is written by a run of all benchmarks only")
    else:
        print(f"written to {report.save(results).name}")


main(sys.argv[1:])
