"""``python -m benches.footprint [MINUTES [RUNS [HOUR]]]``: writes ``benches/footprint.json`` and ``docs/footprint.md``.

Exit status: 0 if all was measured, whether a goal was met or not; 1 if something failed, and then nothing is written.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any, TypeVar

from purista_fast.bench import machine

from .. import peers, report
from ..mqtt_broker import find
from . import cases, disk, drain, limits, page, starts
from .cases import Options
from .group import Group, GroupMissing

BACKLOG = 50_000
T = TypeVar("T")


def main(arguments: list[str]) -> int:
    minutes, runs, hour = (float(one) for one in (*arguments, *("10", "3", "60")[len(arguments) :]))
    if find() is None:
        print("mosquitto is missing: apt-get install mosquitto", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="purista-fast-footprint-") as folder:
        found: dict[str, Any] = {}
        try:
            measure(found, Path(folder), minutes, int(runs), hour)
        except Exception:  # noqa: BLE001 - said, with what the processes said
            traceback.print_exc()
            print(f"what was measured until then: {json.dumps(found)}")
            return 1
    print(*(f"written: {file.name}" for file in page.save(found)), sep="\n")
    return 0


def measure(found: dict[str, Any], folder: Path, minutes: float, runs: int, hour: float) -> None:
    """All of it, into ``found``; what takes an hour runs beside the rest."""
    with_peer = peers.PYTHON.exists()
    script, wheel = stage("installation", partial(disk.install, folder))
    options = Options(script=script, folder=folder, minutes=minutes, runs=runs, hour=hour, with_peer=with_peer)
    found |= {
        "machine": machine.machine(),
        "versions": report.versions(),
        "options": {"minutes": minutes, "runs": runs, "hour": hour, "warm_up": options.warm_up},
        "load": [os.getloadavg()[0]],
        "wheel": wheel,
        "disk": disk.sizes(script),
    }
    found["start"] = stage("start", partial(starts.starts, script, folder / "start", with_peer=with_peer))
    is_over = Event()
    with ThreadPoolExecutor() as beside, _setting_on_failure(is_over):
        long = {case: beside.submit(cases.hour, options, case, is_over.is_set) for case in cases.long_cases()}
        wanted = cases.cases(with_peer=with_peer)
        per_run = []
        for number in range(runs):
            per_run.append(stage(f"run {number + 1}", partial(cases.run, options, wanted, number)))
            found["load"].append(os.getloadavg()[0])
        found["cases"] = [
            {**case.as_dict(), "runs": list(of_case)} for case, *of_case in zip(wanted, *per_run, strict=True)
        ]
        found["drains"] = [
            {"what": name, **stage(f"backlog {name}", partial(run, script, folder / name.replace(" ", "-"), BACKLOG))}
            for name, run in drain.WAYS.items()
        ]
        found["limits"] = limited(options)
        found["hour"] = [
            {**case.as_dict(), **stage(f"the hour on {case.bridge}", future.result)} for case, future in long.items()
        ]
    found["load"].append(os.getloadavg()[0])


@contextmanager
def _setting_on_failure(event: Event) -> Iterator[None]:
    """Nobody waits an hour to hear that something has failed."""
    try:
        yield
    except BaseException:
        event.set()
        raise


def limited(options: Options) -> dict[str, Any]:
    """Under the limits, or why not."""
    try:
        Group("probe", limits.MEMORY, limits.PROCESSOR).remove()
    except GroupMissing as error:
        return {"missing": str(error)}
    return {
        "memory": limits.MEMORY,
        "processor": limits.PROCESSOR,
        "kept": stage("under limits", partial(limits.kept, options)),
        "drained": stage("backlogs under limits", partial(limits.drained, options, BACKLOG)),
    }


def stage(name: str, work: Callable[[], T]) -> T:
    started = monotonic()
    found = work()
    print(f"{name}: {(monotonic() - started) / 60:.1f} minutes", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
