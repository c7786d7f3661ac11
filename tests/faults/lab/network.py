"""The link between an edge and a core, and what can happen to it: the best kind that this machine allows."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from .namespaces import NetemNetwork, TunNetwork, new_pair
from .proxy import ProxyNetwork

__all__ = ("Network", "kind_of_network", "network")


class Network(Protocol):
    """The way from the edge to the core; the broker lives in the core."""

    kind: str
    """``namespaces+netem``, ``namespaces+tun`` or ``proxy``: for the report."""
    core: list[str]
    """What a command must begin with to run in the core."""
    edge: list[str]
    """The same for the edge."""
    core_host: str
    """The address for the broker to listen on."""

    def attach(self, port: int) -> None:
        """Says on which port the broker listens; before anything connects."""
        ...

    def edge_url(self) -> str:
        """The broker's URL as seen from the edge."""
        ...

    def core_url(self) -> str:
        """The broker's URL as seen from the core."""
        ...

    def down(self) -> None:
        """Pulls the cable: no FIN, no RST, no route."""
        ...

    def up(self) -> None:
        """Plugs it in again."""
        ...

    def blackhole(self, on: bool) -> None:
        """Packets vanish in both directions while all seems connected."""
        ...

    def shape(self, *, delay: float = 0.0, loss: float = 0.0) -> None:
        """From now on each packet takes ``delay`` seconds each way, and is lost with the probability ``loss``."""
        ...

    def close(self) -> None: ...


def kind_of_network() -> str:
    """Which kind this machine allows; ``FAULTS_NETWORK`` overrules it."""
    chosen = os.environ.get("FAULTS_NETWORK")
    if chosen:
        return chosen
    if os.geteuid() != 0 or not (shutil.which("ip") and shutil.which("nsenter")) or not _can("ip", "link"):
        return "proxy"
    with new_pair() as pair:
        if pair is None:
            return "proxy"
        if shutil.which("tc") and _can(*pair.edge, "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"):
            return "namespaces+netem"
    return "namespaces+tun" if Path("/dev/net/tun").exists() else "proxy"


@contextmanager
def network(kind: str) -> Iterator[Network]:
    """A link within the block."""
    if kind == "proxy":
        made: Network = ProxyNetwork()
        try:
            yield made
        finally:
            made.close()
        return
    with new_pair() as pair:
        if pair is None:
            raise RuntimeError("network namespaces cannot be made here; FAULTS_NETWORK=proxy does without")
        made = {"namespaces+netem": NetemNetwork, "namespaces+tun": TunNetwork}[kind](pair)
        try:
            yield made
        finally:
            made.close()


def _can(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
