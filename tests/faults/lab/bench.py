"""One fault case: its broker, its programs, its records, and the judge."""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.faults.oracle import Oracle
from tests.faults.records import Journal
from tests.patience import patient

from .broker import FaultyBroker
from .network import Network, network
from .processes import Program

__all__ = ("Bench", "until")


def until(condition: Any, patience: float = 30.0, what: str = "") -> None:
    """Waits until a condition holds."""
    end = time.monotonic() + patient(patience)
    while not condition():
        assert time.monotonic() < end, f"not within {patience} s: {what or condition}"
        time.sleep(0.02)


class Bench:
    """What a case is made of; everything that it started ends with it.

    :param folder: an empty one. Records live in it beside what faults touch, never within.
    """

    def __init__(self, folder: Path, stack: ExitStack, seed: int = 1) -> None:
        self.folder = folder
        self.records = folder / "records"
        self.broker_folder = folder / "broker"
        for made in (self.records, self.broker_folder, self.state_of("edge_1"), self.state_of("core_1")):
            made.mkdir()
        self.random = random.Random(seed)
        self.journal = Journal(self.records, "test")
        self.network: Network | None = None
        self._stack = stack
        self._programs: list[Program] = []
        stack.callback(self._end)

    def state_of(self, name: str) -> Path:
        """Where a program keeps its state: the disk of one machine."""
        return self.folder / f"state-{name}"

    def start_broker(self, **options: Any) -> FaultyBroker:
        """A broker that is stopped at the end; in the core if there is a network."""
        if self.network is not None:
            options = {"host": self.network.core_host, "command": self.network.core, **options}
        self.broker = FaultyBroker(self.broker_folder, **options)
        if self.network is not None:
            self.network.attach(self.broker.port)
        self.broker.start()
        self._stack.callback(self.broker.stop)
        return self.broker

    def link(self, kind: str) -> Network:
        """A network between edge and core; before the broker."""
        self.network = self._stack.enter_context(network(kind))
        return self.network

    def tree(self, instance: str, *, url: str | None = None, **sections: Mapping[str, Any]) -> dict[str, Any]:
        """Settings of an application; ``sections`` are laid over them."""
        tree: dict[str, Any] = {
            "bridge": {"url": url or self.broker.url, "instance_id": instance, "insecure": True, "keep_alive": 5},
            "storage": {"state_dir": str(self.state_of(instance))},
        }
        for name, section in sections.items():
            tree[name] = {**tree.get(name, {}), **section}
        return tree

    def emitter(
        self,
        name: str = "edge_1",
        *,
        at_edge: bool = False,
        backend: str = "asyncio",
        environment: Mapping[str, str] | None = None,
        sections: Mapping[str, Mapping[str, Any]] | None = None,
        wait: bool = True,
        **what: Any,
    ) -> Program:
        """A running emitter; its numbers go on where those of its last life ended."""
        url, prefix = self._where(at_edge)
        settings = {
            "emitter": name,
            "records": str(self.records),
            "start": self.oracle().last_number + 1,
            "tree": self.tree(name, url=url, **(sections or {})),
            **what,
        }
        return self._start("emitter.py", name, settings, backend, prefix, environment, wait)

    def subscriber(
        self,
        name: str = "core_1",
        *subscriptions: Mapping[str, Any],
        at_edge: bool = False,
        backend: str = "asyncio",
        environment: Mapping[str, str] | None = None,
        sections: Mapping[str, Mapping[str, Any]] | None = None,
        wait: bool = True,
        **what: Any,
    ) -> Program:
        """A running subscriber; to the event ``tick`` unless told otherwise."""
        url, prefix = self._where(at_edge)
        settings = {
            "consumer": name,
            "records": str(self.records),
            "subscriptions": list(subscriptions) or [{"event": "tick"}],
            "tree": self.tree(name, url=url, **(sections or {})),
            **what,
        }
        return self._start("subscriber.py", name, settings, backend, prefix, environment, wait)

    def heal(self) -> None:
        """Notes that a fault is over."""
        self.journal.mark("healed")

    def until_handled(self, more: int, patience: float = 30.0) -> None:
        """Waits until this many more messages are handled than now."""
        oracle = self.oracle()
        goal = oracle.handled + more
        until(lambda: oracle.handled >= goal, patience, f"{goal} messages handled")

    def until_confirmed(self, more: int, patience: float = 30.0) -> None:
        """Waits until this many more messages are confirmed than now."""
        oracle = self.oracle()
        goal = oracle.confirmed + more
        until(lambda: oracle.confirmed >= goal, patience, f"{goal} messages confirmed")

    def oracle(self, *, groups: Sequence[Collection[str]] | None = None, ordered: Any = True) -> Oracle:
        """The judge of what is written by now."""
        return Oracle(self.records, groups=groups, ordered=ordered)

    def log_of(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def _where(self, at_edge: bool) -> tuple[str | None, list[str]]:
        if self.network is None:
            return None, []
        if at_edge:
            return self.network.edge_url(), self.network.edge
        return self.network.core_url(), self.network.core

    def _start(
        self,
        script: str,
        name: str,
        settings: Mapping[str, Any],
        backend: str,
        prefix: Sequence[str],
        environment: Mapping[str, str] | None,
        wait: bool,
    ) -> Program:
        program = Program(
            script,
            settings,
            log=self.folder / f"{name}.log",
            backend=backend,
            prefix=prefix,
            environment=environment,
        )
        return self.keep(program, wait)

    def keep(self, program: Program, wait: bool = True) -> Program:
        """Has a program end with the case; waits until it is ready unless told otherwise."""
        self._programs.append(program)
        if wait:
            program.wait_for("ready")
        return program

    def _end(self) -> None:
        for program in self._programs:
            program.kill()
        self.journal.close()
