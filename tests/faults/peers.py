"""Three cases with raw paho-mqtt and with FastStream, for the columns of the long form's table.

They are reported, not judged: what a peer loses is a number in the table, never a failure of ours.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .lab.bench import Bench
from .lab.processes import Program
from .oracle import Verdict
from .rounds import IS_LONG

__all__ = (
    "PEERS",
    "Peer",
    "backlog_before_subscribe",
    "compare",
    "configuration",
    "emitter_killed",
    "handler_failing",
    "python_of_peers",
)

PEERS = {"paho-mqtt": "peer_paho.py", "FastStream": "peer_faststream.py"}
_QUIET = 3.0
_PROGRAMS = Path(__file__).parent / "programs"


def python_of_peers() -> str:
    """The Python that has them, as ``make faults`` installs it; that of this process unless told otherwise."""
    return os.environ.get("FAULTS_PEERS", sys.executable)


def configuration(name: str) -> str:
    """The lines that configure a peer, as they run."""
    shown: list[str] = []
    is_shown = False
    for line in (_PROGRAMS / PEERS[name]).read_text().splitlines():
        if line.strip() in ("# [configuration]", "# [end]"):
            is_shown = line.strip() == "# [configuration]"
            if not is_shown:
                shown.append("")
        elif is_shown:
            shown.append(line)
    return "\n".join(shown).strip("\n")


@dataclass(slots=True)
class Peer:
    """One peer on one bench, with a broker of its own."""

    name: str
    bench: Bench

    def emitter(self, count: int, rate: float = 200, *, wait: bool = True) -> Program:
        start = self.bench.oracle().last_number + 1
        return self._start("emitter", "edge_1", wait, start=start, count=count, rate=rate)

    def subscriber(self, *, fail_first: int = 0, every: int = 1) -> Program:
        return self._start("subscriber", "core_1", True, fail_first=fail_first, every=every)

    def result(self) -> dict[str, Any]:
        """What came of it, once nothing happens any more."""
        oracle = self.bench.oracle(ordered=False)
        oracle.settle(quiet=_QUIET)
        verdict: Verdict = oracle.judge()
        return {
            "confirmed": verdict.confirmed,
            "lost": len(verdict.lost),
            "duplicates": verdict.duplicates,
            "recovery": round(verdict.recovery, 2),
        }

    def _start(self, role: str, name: str, wait: bool, **what: Any) -> Program:
        settings = {
            "role": role,
            "name": name,
            "records": str(self.bench.records),
            "host": "127.0.0.1",
            "port": self.bench.broker.port,
            **what,
        }
        log = self.bench.folder / f"{name}.log"
        return self.bench.keep(Program(PEERS[self.name], settings, log=log, python=python_of_peers()), wait)


Case = Callable[[Peer, int], dict[str, Any]]


def compare(case: Case, folder: Path, count: int) -> dict[str, dict[str, Any]]:
    """What each peer comes to in a case; nothing in the short form, which goes without peers."""
    results: dict[str, dict[str, Any]] = {}
    for name in PEERS if IS_LONG else ():
        (own := folder / name).mkdir(parents=True)
        with ExitStack() as stack:
            bench = Bench(own, stack)
            bench.start_broker()
            try:
                results[name] = case(Peer(name, bench), count)
            except AssertionError as error:
                results[name] = {"note": f"did not come to an end: {str(error).splitlines()[0]}"}
    return results


def emitter_killed(peer: Peer, rounds: int) -> dict[str, Any]:
    """kill -9 at random points."""
    subscriber = peer.subscriber()
    for _ in range(rounds):
        emitter = peer.emitter(1000)
        emitter.wait_for("first")
        time.sleep(peer.bench.random.uniform(0.0, 0.6))
        emitter.kill()
        peer.bench.heal()
    emitter = peer.emitter(20)
    emitter.wait_for("done")
    result = peer.result()
    emitter.finish()
    subscriber.finish()
    return result


def handler_failing(peer: Peer, count: int) -> dict[str, Any]:
    """Each fifth message fails twice; then the process is started anew, with a handler that works."""
    subscriber = peer.subscriber(fail_first=2, every=5)
    emitter = peer.emitter(count, 400)
    emitter.wait_for("done", 120)
    before = peer.result()
    subscriber.finish()
    peer.bench.heal()
    subscriber = peer.subscriber()
    result = peer.result()
    emitter.finish()
    subscriber.finish()
    return {**result, "note": f"{before['lost']} not handled until a restart"}


def backlog_before_subscribe(peer: Peer, count: int) -> dict[str, Any]:
    """It waits in the broker while the subscriber is away: killed, since FastStream's orderly stop unsubscribes."""
    peer.subscriber().kill()
    emitter = peer.emitter(count, 1000)
    emitter.wait_for("done", 120)
    peer.bench.heal()
    subscriber = peer.subscriber()
    result = peer.result()
    emitter.finish()
    subscriber.finish()
    return result
