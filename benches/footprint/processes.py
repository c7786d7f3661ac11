"""The processes that are measured: each with a folder, a log and, on ``mqtt://``, a broker of its own."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from ..peers import PYTHON as PEERS
from .group import Group

__all__ = ("Process", "faststream", "ours")

PROGRAMS = Path(__file__).with_name("programs")
_PATIENCE = 120.0
"""Seconds that a process has to say what is waited for, and to end."""
_PEERS_PATIENCE = 20.0
_TICKS = os.sysconf("SC_CLK_TCK")


class Process:
    """A process that writes into a log."""

    def __init__(self, words: list[str], folder: Path, environment: dict[str, str], group: Group | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.words = words
        self.group = group
        self._log = folder / "log"
        self._read_from = self._log.stat().st_size if self._log.exists() else 0
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("PURISTA_", "PYTHON"))}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                group.command(words) if group else words,
                cwd=folder,
                env={**inherited, "PYTHONUTF8": "1", "STATE_DIRECTORY": str(folder), **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.pid = self._process.pid

    def said(self) -> str:
        """What it has said so far."""
        return self._log.read_bytes()[self._read_from :].decode("utf-8", "replace")

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def wait_for(self, text: str, patience: float = _PATIENCE) -> None:
        """Waits until it has said something.

        :raises RuntimeError: if it ends or is silent, with what it said.
        """
        end = time.monotonic() + patience
        while text not in self.said():
            if self.has_ended() or time.monotonic() > end:
                raise RuntimeError(f"{' '.join(self.words)} did not say {text!r}: {self.said().strip()[-2000:]}")
            time.sleep(0.02)

    def cpu(self) -> float:
        """The CPU time that it has used, user and system, in seconds."""
        fields = Path(f"/proc/{self.pid}/stat").read_text("ascii", "replace").rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def stop(self) -> None:
        """Ends it as an operator would.

        :raises RuntimeError: if it was killed, failed, or does not end.
        """
        self._process.terminate()
        try:
            code = self._process.wait(_PATIENCE)
        finally:
            self.kill()
        if code:
            raise RuntimeError(f"{' '.join(self.words)} ended with {code}: {self.said().strip()[-2000:]}")

    def end(self) -> None:
        """Ends a peer, which may hang or fail at that: that is not what is measured."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_PEERS_PATIENCE)
        self.kill()

    def kill(self) -> None:
        """Ends it for certain."""
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()

    def counted(self) -> tuple[int, int]:
        """How many events it says at its end that it has handled and emitted.

        :raises RuntimeError: if it says nothing of that.
        """
        lines = [line for line in self.said().splitlines() if line.startswith("handled ")]
        if not lines:
            raise RuntimeError(f"{' '.join(self.words)} did not say what it handled")
        line = lines[-1]
        handled, emitted = (int(part.split()[1]) for part in line.split(", "))
        return handled, emitted


def ours(
    script: Path,
    folder: Path,
    bridge: str,
    *services: str,
    rate: float = 0,
    count: int = 0,
    group: Group | None = None,
    settings: dict[str, str] | None = None,
) -> Process:
    """``purista-fast run probe:app`` as it is installed.

    :param services: those that run; all of them unless named.
    """
    environment = {"PYTHONPATH": str(PROGRAMS), **(settings or {})}
    if services:
        environment["PURISTA_SERVICES__ENABLED"] = ",".join(services)
    if rate:
        environment["FOOTPRINT_RATE"] = str(rate)
    if count:
        environment["FOOTPRINT_COUNT"] = str(count)
    return Process([str(script), "run", "probe:app", f"--bridge={bridge}"], folder, environment, group)


def faststream(port: int, folder: Path, role: str, rate: float = 0) -> Process:
    """The peer, with the Python of the peers."""
    program = PROGRAMS / "probe_faststream.py"
    return Process([str(PEERS), str(program), str(port), role], folder, {"FOOTPRINT_RATE": str(rate)})
