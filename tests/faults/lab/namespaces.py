"""Two network namespaces, joined by veth with tc netem or, where a kernel has none, by TUN devices and a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from tests.patience import patient

__all__ = ("NetemNetwork", "Pair", "TunNetwork", "new_pair")

EDGE, CORE = "10.201.0.1", "10.201.0.2"
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Pair:
    """The names of two namespaces, and what a command begins with to run in them."""

    edge_name: str
    core_name: str

    @property
    def edge(self) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.edge_name}"]

    @property
    def core(self) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.core_name}"]


@contextmanager
def new_pair() -> Iterator[Pair | None]:
    """Two empty namespaces within the block; ``None`` where they are not to be had."""
    number = f"{os.getpid()}-{next(_numbers)}"
    pair = Pair(f"edge-{number}", f"core-{number}")
    made: list[str] = []
    try:
        for name in (pair.edge_name, pair.core_name):
            if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
                yield None
                return
            made.append(name)
            _ip(name, "link", "set", "lo", "up")
        yield pair
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "del", name], check=True)


class _Namespaces:
    """What both kinds have in common."""

    kind = ""
    core_host = "0.0.0.0"
    _device = ""

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self.edge, self.core = pair.edge, pair.core
        self._port = 0

    def attach(self, port: int) -> None:
        self._port = port

    def edge_url(self) -> str:
        return f"mqtt://{CORE}:{self._port}"

    def core_url(self) -> str:
        return f"mqtt://127.0.0.1:{self._port}"

    def down(self) -> None:
        _ip(self._pair.edge_name, "link", "set", self._device, "down")

    def up(self) -> None:
        _ip(self._pair.edge_name, "link", "set", self._device, "up")

    def close(self) -> None:
        """The devices go with their namespaces."""

    def _address(self) -> None:
        for name, own, other in [(self._pair.edge_name, EDGE, CORE), (self._pair.core_name, CORE, EDGE)]:
            _ip(name, "address", "add", own, "peer", other, "dev", self._device)
            _ip(name, "link", "set", self._device, "up")


class NetemNetwork(_Namespaces):
    """A veth pair with tc netem at both ends."""

    kind = "namespaces+netem"
    _device = "wire"

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        other = ["peer", "name", "wire", "netns", pair.core_name]
        command = ["ip", "link", "add", "wire", "netns", pair.edge_name, "type", "veth", *other]
        subprocess.run(command, check=True)
        self._address()
        self._delay, self._loss = 0.0, 0.0
        self._apply(0.0)

    def shape(self, *, delay: float = 0.0, loss: float = 0.0) -> None:
        self._delay, self._loss = delay, loss
        self._apply(loss)

    def blackhole(self, on: bool) -> None:
        self._apply(1.0 if on else self._loss)

    def _apply(self, loss: float) -> None:
        rules = ["netem", "limit", "100000", "delay", f"{self._delay * 1000}ms", "loss", f"{loss * 100}%"]
        for prefix in (self._pair.edge, self._pair.core):
            subprocess.run([*prefix, "tc", "qdisc", "replace", "dev", self._device, "root", *rules], check=True)


class TunNetwork(_Namespaces):
    """A TUN device in each namespace, and a process that carries the packets (:mod:`tests.faults.lab.carrier`)."""

    kind = "namespaces+tun"
    _device = "wire0"

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        script = Path(__file__).with_name("carrier.py")
        self._carrier = subprocess.Popen(
            [sys.executable, str(script), self._device, pair.edge_name, pair.core_name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._answer()
        self._address()
        self._shape: dict[str, float] = {"delay": 0.0, "loss": 0.0}

    def shape(self, *, delay: float = 0.0, loss: float = 0.0) -> None:
        self._shape = {"delay": delay, "loss": loss}
        self._tell(self._shape)

    def blackhole(self, on: bool) -> None:
        self._tell({**self._shape, "loss": 1.0} if on else self._shape)

    def close(self) -> None:
        assert self._carrier.stdin is not None
        assert self._carrier.stdout is not None
        self._carrier.stdin.close()
        self._carrier.wait(patient(10))
        self._carrier.stdout.close()

    def _tell(self, what: dict[str, float]) -> None:
        assert self._carrier.stdin is not None
        self._carrier.stdin.write(json.dumps(what).encode() + b"\n")
        self._carrier.stdin.flush()
        self._answer()

    def _answer(self) -> None:
        assert self._carrier.stdout is not None
        answer = self._carrier.stdout.readline()
        if answer != b"ok\n":
            raise RuntimeError(f"the carrier of packets answered {answer!r}")


def _ip(name: str, *arguments: str) -> None:
    subprocess.run(["ip", "-n", name, *arguments], check=True)
