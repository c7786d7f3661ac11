"""Under a limit of 64 MiB and a fifth of a core: what becomes of an application there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from . import drain
from .cases import Case, Options, figures
from .group import Group
from .memory import sample

__all__ = ("MEMORY", "PROCESSOR", "drained", "kept")

MEMORY = 64 * 2**20
PROCESSOR = 0.2
_CASES = (
    Case("purista-fast", "memory", 0),
    Case("purista-fast", "memory", 100),
    Case("purista-fast", "mqtt", 0),
    Case("purista-fast", "mqtt", 100),
)
_PERIOD = 2.0


def kept(options: Options) -> list[dict[str, Any]]:
    """Idle and at 100 events a second, all at the same time, each in a group of its own."""
    with ExitStack() as stack:
        groups = {case: stack.enter_context(_limited(case.name)) for case in _CASES}
        found = {
            case: stack.enter_context(case.running(options, options.folder / "limits" / case.name, group))
            for case, group in groups.items()
        }
        for running in found.values():
            running.warm_up(options.warm_up)
        pids = {case.name: running.watched.pid for case, running in found.items()}
        series = sample(pids, options.minutes * 60, _PERIOD)
        limited = {case: {"cpu_seconds_a_minute": found[case].cpu(), **_of(groups[case])} for case in _CASES}
        for case in _CASES:
            limited[case] |= {"what": case.name, **figures(series[case.name])}
        stack.pop_all().close()
        for case in _CASES:
            limited[case] |= found[case].events()
    return list(limited.values())


def drained(options: Options, count: int) -> list[dict[str, Any]]:
    """The backlogs of :mod:`.drain`."""
    found = []
    for name, run in drain.WAYS.items():
        with _limited(name.replace(" ", "-")) as group:
            folder = options.folder / "limits" / name.replace(" ", "-")
            figure = run(options.script, folder, count, group)
            found.append({"what": name, **figure, **_of(group)})
    return found


@contextmanager
def _limited(name: str) -> Iterator[Group]:
    group = Group(name, MEMORY, PROCESSOR)
    try:
        yield group
    finally:
        group.remove()


def _of(group: Group) -> dict[str, Any]:
    peak = group.peak()
    return {
        "group_peak": None if peak is None else round(peak / 1e6, 1),
        "killed": group.killed(),
        "throttled_seconds": round(group.throttled(), 1),
        "cgroup": group.version,
    }
