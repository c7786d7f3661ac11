"""D: events and commands over a real mosquitto, each end in a process of its own.

Every pair has a broker of its own, with the same configuration. purista-fast runs with its defaults and all that it
promises: payloads validated at both ends, events acknowledged after their handler, an outbox, deadlines, traces.

- *paho* is a bare pair that sends the very PUBLISH packets that purista-fast was recorded to send, without validation,
  routing, outbox or deadline, and acknowledges on receipt.
- *FastStream* validates at both ends and acknowledges after the handler; it has no outbox. Its packets are its own.

D1 counts the CPU seconds (user and system) of both processes, without the broker: 100 events in flight, QoS 1.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from .harness import Goal, Result, Skipped, Wanted, compare
from .mqtt_broker import Publish, Tap, broker, find
from .mqtt_programs.common import ECHO, EVENT
from .peers import MISSING, PYTHON

__all__ = ("results",)

_ROUNDS = 7
_IN_FLIGHT = 100
_EVENTS = 3000
_CALLS = 400
_SLOW_CALLS = 12
"""For the peer in D2b: each takes 44 ms."""
_CALLS_AT_ONCE = 2000
_PLACE = Path(__file__).parent


class Program:
    """One end of a pair."""

    def __init__(self, name: str, python: str | Path = sys.executable, **settings: Any) -> None:
        self._process = subprocess.Popen(
            [str(python), "-m", f"benches.mqtt_programs.{name}", json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_PLACE.parent,
        )
        self.wait()

    def wait(self) -> Any:
        """The next answer."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args} has ended")
        return json.loads(line)

    def do(self, what: str, count: int = 0, in_flight: int = 1) -> None:
        """Gives it a job."""
        assert self._process.stdin is not None
        print(json.dumps({"do": what, "count": count, "in_flight": in_flight}), file=self._process.stdin, flush=True)

    def cpu(self) -> float:
        """The CPU time that it has used so far, in seconds."""
        self.do("tell")
        seconds: float = self.wait()
        return seconds

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()


class Pair:
    """Both ends of one way to do it."""

    def __init__(self, first: Program, second: Program) -> None:
        self.first, self.second = first, second

    def cpu_of_events(self, count: int = _EVENTS) -> float:
        """CPU seconds of both ends for 10,000 events."""
        before = self.first.cpu() + self.second.cpu()
        self.second.do("consume", count)
        self.second.wait()
        self.first.do("emit", count, _IN_FLIGHT)
        self.second.wait()
        self.first.wait()
        time.sleep(0.1)  # the last acknowledgements
        return (self.first.cpu() + self.second.cpu() - before) / count * 10_000

    def latency(self, count: int) -> float:
        """The median time of a call, one at a time, in milliseconds."""
        self.first.do("call", count)
        return median(self.first.wait()) * 1e3

    def rate(self) -> float:
        """Calls a second, 100 in flight."""
        self.first.do("call", _CALLS_AT_ONCE, _IN_FLIGHT)
        seconds: float = self.first.wait()
        return _CALLS_AT_ONCE / seconds


def results(wanted: Wanted) -> Iterator[Result | Skipped]:
    """D1, D2, D2b and D3."""
    ids = {
        "D1": "events at QoS 1, both processes",
        "D2": "command round trip, one at a time",
        "D2b": "the same, mosquitto as it comes",
        "D3": "commands, 100 in flight",
    }
    ids = {id: what for id, what in ids.items() if wanted(id.upper())}
    if not ids:
        return
    if find() is None:
        yield from (Skipped(id, what, "mosquitto is missing: apt-get install mosquitto") for id, what in ids.items())
        return
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        lab = _Laboratory(Path(folder), stack)
        if "D1" in ids or "D3" in ids:
            yield from (found for found in _events(lab) if found.id in ids)
        if "D2" in ids:
            yield from _latency(lab)
        if "D2b" in ids:
            yield from _latency_as_it_comes(lab)
        if "D3" in ids:
            yield from _rate(lab)


def _events(lab: _Laboratory) -> Iterator[Result | Skipped]:
    pairs = {
        "ours": lab.ours("emitter", "consumer"),
        "trio": lab.ours("emitter", "consumer", backend="trio"),
        "paho": lab.paho("emitter", "consumer"),
    }
    if PYTHON.exists():
        pairs["FastStream"] = lab.faststream("emitter", "consumer")
    for pair in pairs.values():
        pair.cpu_of_events(_IN_FLIGHT * 5)
    figures = _rounds({name: pair.cpu_of_events for name, pair in pairs.items()})
    ours, paho = figures["ours"], {"bare paho": figures["paho"]}
    yield compare("D1", "CPU for 10,000 events, QoS 1", ours, paho, Goal(1.3, "at most"), unit="s")
    yield compare("D1", "the same on trio", figures["trio"], paho, None, unit="s")
    if "FastStream" in pairs:
        peer = {"FastStream": figures["FastStream"]}
        yield compare("D3", "CPU for 10,000 events, QoS 1", ours, peer, Goal(0.5, "at most"), unit="s")


def _latency(lab: _Laboratory) -> Iterator[Result]:
    pairs = {
        "ours": lab.ours("caller", "server"),
        "trio": lab.ours("caller", "server", backend="trio"),
        "paho": lab.paho("caller", "server"),
    }
    for pair in pairs.values():
        pair.latency(50)
    figures = _rounds({name: partial(pair.latency, _CALLS) for name, pair in pairs.items()})
    peer = {"bare paho": figures["paho"]}
    yield compare("D2", "command round trip, p50", figures["ours"], peer, Goal(1.25, "at most"), unit="ms")
    yield compare("D2", "the same on trio", figures["trio"], peer, None, unit="ms")


def _latency_as_it_comes(lab: _Laboratory) -> Iterator[Result]:
    ours, paho = lab.ours("caller", "server", nodelay=False), lab.paho("caller", "server", nodelay=False)
    ours.latency(50)
    figures = _rounds({"ours": lambda: ours.latency(_CALLS), "paho": lambda: paho.latency(_SLOW_CALLS)})
    rates = {name: [1e3 / milliseconds for milliseconds in found] for name, found in figures.items()}
    peer = {"bare paho": rates["paho"]}
    yield compare("D2b", "round trips, mosquitto as it comes", rates["ours"], peer, Goal(50.0, "rate"), unit="/s")


def _rate(lab: _Laboratory) -> Iterator[Result | Skipped]:
    what = "commands, 100 in flight"
    if not PYTHON.exists():
        yield Skipped("D3", what, MISSING)
        return
    pairs = {"ours": lab.ours("caller", "server"), "FastStream": lab.faststream("caller", "server")}
    for pair in pairs.values():
        pair.rate()
    figures = _rounds({name: pair.rate for name, pair in pairs.items()})
    peer = {"FastStream": figures["FastStream"]}
    yield compare("D3", what, figures["ours"], peer, Goal(2.0, "rate"), unit="/s")


def _rounds(sides: dict[str, Any]) -> dict[str, list[float]]:
    """Each side once a round, every other round in the opposite order."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    order = list(sides)
    for _ in range(_ROUNDS):
        for name in order:
            found[name].append(sides[name]())
        order.reverse()
    return found


class _Laboratory:
    """Starts pairs, each with a broker of its own, and records what ours sends."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._number = 0
        self._recorded: dict[str, Publish] = {}

    def ours(self, first: str, second: str, *, nodelay: bool = True, backend: str = "asyncio") -> Pair:
        """purista-fast at both ends."""
        port = self._broker(nodelay=nodelay)
        return self._pair(lambda role: self._our_program(role, port, backend), first, second)

    def paho(self, first: str, second: str, *, nodelay: bool = True) -> Pair:
        """Bare paho at both ends, with our packets."""
        port = self._broker(nodelay=nodelay)
        self._record()
        there = self._recorded["event" if first == "emitter" else "command"]
        back = None if first == "emitter" else self._recorded["answer"]
        sends = {first: there, second: back}
        takes = {first: back, second: there}

        def make(role: str) -> Program:
            taken, sent = takes[role], sends[role]
            return Program(
                "bare_paho",
                role=role,
                port=port,
                sends=sent and sent.as_dict(),
                # Ours has an identifier with each subscription, which comes back with each message.
                takes=taken and {"topic": taken.topic, "identifier": 0x0ABC_DEF0},
            )

        return self._pair(make, first, second)

    def faststream(self, first: str, second: str) -> Pair:
        """FastStream at both ends."""
        port = self._broker(nodelay=True)
        return self._pair(lambda role: Program("with_faststream", PYTHON, role=role, port=port), first, second)

    def _broker(self, *, nodelay: bool) -> int:
        self._number += 1
        return self._stack.enter_context(broker(self._folder / f"broker{self._number}", nodelay=nodelay))

    def _pair(self, make: Any, first: str, second: str) -> Pair:
        # The one that listens first.
        other = make(second)
        self._stack.callback(other.stop)
        one = make(first)
        self._stack.callback(one.stop)
        return Pair(one, other)

    def _our_program(self, role: str, port: int, backend: str = "asyncio") -> Program:
        self._number += 1
        state = str(self._folder / f"state{self._number}")
        return Program("ours", role=role, port=port, state=state, backend=backend)

    def _record(self) -> None:
        """Has ours send one of each through a tap."""
        if self._recorded:
            return
        port = self._broker(nodelay=True)
        tap = Tap(port)
        with _stopping(self._our_program("emitter", tap.port)) as emitter:
            emitter.do("emit", 1)
            emitter.wait()
        with (
            _stopping(self._our_program("server", tap.port)),
            _stopping(self._our_program("caller", tap.port)) as caller,
        ):
            caller.do("call", 1)
            caller.wait()
        tap.close()
        self._recorded = {
            "event": tap.published(EVENT),
            "command": tap.published(f"/{ECHO}"),
            "answer": tap.published("/command_success_response/"),
        }


@contextmanager
def _stopping(program: Program) -> Iterator[Program]:
    try:
        yield program
    finally:
        program.stop()
