"""Idle and at work: one application for each case, all at the same time, in several runs; and those of an hour."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ..mqtt_broker import broker
from . import stats
from .group import Group
from .memory import Series, sample
from .processes import Process, faststream, ours

__all__ = ("Case", "Options", "Running", "cases", "figures", "hour", "long_cases", "run")

RATES = (0, 1, 100, 1000)
_LONG_RATE = 100
_PERIOD = 2.0
"""Seconds between two samples."""
_BIN = 60.0
"""Seconds of which the median is one point of a slope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How long and how often."""

    script: Path
    folder: Path
    minutes: float
    runs: int
    hour: float
    """In minutes as well."""
    with_peer: bool

    @property
    def warm_up(self) -> float:
        """Seconds before the first sample."""
        return min(60.0, self.minutes * 12)


@dataclass(frozen=True, slots=True)
class Case:
    """Which process is watched while what runs beside it."""

    who: str
    bridge: str
    rate: float
    emits: bool = False
    """Whether the process that emits is the one that is watched: on ``memory://`` it does both."""
    transport: str = "paho"
    """``bridge.transport``."""

    @property
    def name(self) -> str:
        return f"{self.who}-{self.bridge}-{self.rate:g}{'-emits' if self.emits else ''}-{self.transport}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "who": self.who,
            "bridge": self.bridge,
            "rate": self.rate,
            "emits": self.emits,
            "transport": self.transport,
        }

    @contextmanager
    def running(self, options: Options, folder: Path, group: Group | None = None) -> Iterator[Running]:
        """Its processes, ready and at work.

        :param group: what the first process runs in.
        """
        with ExitStack() as stack:
            folder.mkdir(parents=True)
            port = stack.enter_context(broker(folder / "broker")) if self.bridge == "mqtt" else 0
            url = f"mqtt://127.0.0.1:{port}" if port else "memory://"
            ready = " is ready as instance " if self.who == "purista-fast" else "is ready"
            processes = []
            settings = {"PURISTA_BRIDGE__TRANSPORT": self.transport}

            def start(process: Process) -> None:
                stack.callback(process.kill)
                processes.append(process)
                process.wait_for(ready)

            if self.who == "FastStream":
                start(faststream(port, folder / "consumer", "consumer"))
                if self.rate:
                    start(faststream(port, folder / "emitter", "emitter", self.rate))
            elif self.rate and port:
                start(ours(options.script, folder / "consumer", url, "Consumer", group=group, settings=settings))
                start(ours(options.script, folder / "emitter", url, "Emitter", rate=self.rate, settings=settings))
            else:
                start(ours(options.script, folder / "both", url, rate=self.rate, group=group, settings=settings))
            running = Running(processes[-1 if self.emits else 0], processes)
            yield running
            for process in reversed(processes):
                (process.stop if self.who == "purista-fast" else process.end)()
                running.ended = running.ended or time.monotonic()


class Running:
    """The processes of a case.

    :param watched: whose memory is read.
    :param processes: who handles, then who emits.
    """

    def __init__(self, watched: Process, processes: list[Process]) -> None:
        self.watched, self.processes = watched, processes
        self.started = time.monotonic()
        self.ended = 0.0
        self._cpu, self._since = watched.cpu(), self.started

    def warm_up(self, seconds: float) -> None:
        """Waits until so many seconds have passed since the start; what came before does not count."""
        time.sleep(max(0.0, self.started + seconds - time.monotonic()))
        self._cpu, self._since = self.watched.cpu(), time.monotonic()

    def cpu(self) -> float:
        """CPU seconds a minute since it was warm."""
        return round((self.watched.cpu() - self._cpu) / (time.monotonic() - self._since) * 60, 3)

    def events(self) -> dict[str, float]:
        """How many were handled and emitted, once it has ended.

        :raises RuntimeError: if one of its processes does not say so.
        """
        counted = [process.counted() for process in self.processes]
        handled, emitted = sum(one for one, _ in counted), sum(one for _, one in counted)
        return {"handled": handled, "emitted": emitted, "a_second": round(handled / (self.ended - self.started), 1)}


def cases(*, with_peer: bool) -> list[Case]:
    """All that are measured side by side."""
    found = [Case("purista-fast", bridge, rate) for bridge in ("memory", "mqtt") for rate in RATES]
    found.append(Case("purista-fast", "mqtt", 1000, emits=True))
    found += [Case("purista-fast", "mqtt", rate, transport="native") for rate in RATES]
    return found + ([Case("FastStream", "mqtt", rate) for rate in RATES] if with_peer else [])


def long_cases() -> list[Case]:
    """Those of an hour."""
    return [Case("purista-fast", bridge, _LONG_RATE) for bridge in ("memory", "mqtt")]


def run(options: Options, wanted: list[Case], number: int) -> list[dict[str, Any]]:
    """One run of these cases at the same time."""
    with ExitStack() as stack:
        folder = options.folder / f"run{number}"
        found = {case: stack.enter_context(case.running(options, folder / case.name)) for case in wanted}
        for running in found.values():
            running.warm_up(options.warm_up)
        pids = {case.name: running.watched.pid for case, running in found.items()}
        series = sample(pids, options.minutes * 60, _PERIOD)
        used = {case: running.cpu() for case, running in found.items()}
    return [
        {**figures(series[case.name]), "cpu_seconds_a_minute": used[case], **_events(case, running)}
        for case, running in found.items()
    ]


def _events(case: Case, running: Running) -> dict[str, Any]:
    """A peer that hangs at its end has not told."""
    try:
        return dict(running.events())
    except RuntimeError:
        if case.who == "purista-fast":
            raise
        return {"handled": None, "emitted": None, "a_second": None}


def hour(options: Options, case: Case, is_over: Callable[[], bool]) -> dict[str, Any]:
    """A case for an hour: how its memory grows, in bytes an hour, with the interval."""
    with case.running(options, options.folder / "hour" / case.name) as running:
        running.warm_up(options.warm_up)
        series = sample({"": running.watched.pid}, options.hour * 60, _PERIOD, is_over)[""]
        cpu = running.cpu()
    points = [(one.at / 3600, float(one.alone)) for one in series.samples]
    bins = stats.binned(points, min(_BIN, options.hour * 60 / 10) / 3600)
    grows, low, high = stats.slope(bins)
    return {
        **figures(series),
        "minutes": options.hour,
        "slope": round(grows),
        "slope_from": round(low),
        "slope_to": round(high),
        "points": [round(value / 1e6, 3) for _, value in bins],
        "cpu_seconds_a_minute": cpu,
        **running.events(),
    }


def figures(series: Series) -> dict[str, Any]:
    """A series in MB."""
    values = series.alone()
    return {
        "median": round(median(values), 3),
        "p95": round(stats.percentile(values, 95), 3),
        "most": round(max(values), 3),
        "paired": round(median(one.paired for one in series.samples) / 1e6, 3),
        "resident": round(median(one.resident for one in series.samples) / 1e6, 3),
        "proportional": round(median(one.proportional for one in series.samples) / 1e6, 3),
        "samples": len(values),
    }
