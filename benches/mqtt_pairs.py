"""Pairs of processes, each pair with a mosquitto of its own, and what they are asked to do."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from .mqtt_broker import Publish, Tap, broker
from .mqtt_programs.common import ECHO, EVENT
from .peers import PYTHON

__all__ = ("IN_FLIGHT", "Laboratory", "Pair", "rounds")

_ROUNDS = 7
IN_FLIGHT = 100
_EVENTS = 3000
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
        self.first.do("emit", count, IN_FLIGHT)
        self.second.wait()
        self.first.wait()
        time.sleep(0.1)  # the last acknowledgements
        return (self.first.cpu() + self.second.cpu() - before) / count * 10_000

    def latency(self, count: int) -> float:
        """The median time of a call, one at a time, in milliseconds."""
        self.first.do("call", count)
        return median(self.first.wait()) * 1e3

    def rate(self, in_flight: int = IN_FLIGHT) -> float:
        """Calls a second, so many in flight."""
        self.first.do("call", _CALLS_AT_ONCE, in_flight)
        seconds: float = self.first.wait()
        return _CALLS_AT_ONCE // in_flight * in_flight / seconds


def rounds(sides: dict[str, Any]) -> dict[str, list[float]]:
    """Each side once a round, every other round in the opposite order."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    order = list(sides)
    for _ in range(_ROUNDS):
        for name in order:
            found[name].append(sides[name]())
        order.reverse()
    return found


class Laboratory:
    """Starts pairs, each with a broker of its own, and records what ours sends."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._number = 0
        self._recorded: dict[str, Publish] = {}

    def ours(self, first: str, second: str, *, nodelay: bool = True, **options: str) -> Pair:
        """purista-fast at both ends.

        :param options: ``backend``, ``transport``.
        """
        port = self._broker(nodelay=nodelay)
        return self._pair(lambda role: self._our_program(role, port, **options), first, second)

    def paho(self, first: str, second: str, *, nodelay: bool = True) -> Pair:
        """Bare paho at both ends, with our packets."""
        return self._bare("bare_paho", sys.executable, first, second, nodelay=nodelay)

    def bare(self, library: str, first: str, second: str) -> Pair:
        """gmqtt or aiomqtt at both ends, with our packets."""
        return self._bare("bare_asyncio", PYTHON, first, second, library=library)

    def _bare(
        self, program: str, python: str | Path, first: str, second: str, *, nodelay: bool = True, **options: Any
    ) -> Pair:
        port = self._broker(nodelay=nodelay)
        self._record()
        there = self._recorded["event" if first == "emitter" else "command"]
        back = None if first == "emitter" else self._recorded["answer"]
        sends = {first: there, second: back}
        takes = {first: back, second: there}

        def make(role: str) -> Program:
            taken, sent = takes[role], sends[role]
            return Program(
                program,
                python,
                **options,
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

    def _our_program(self, role: str, port: int, **options: str) -> Program:
        self._number += 1
        state = str(self._folder / f"state{self._number}")
        return Program("ours", role=role, port=port, state=state, **options)

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
