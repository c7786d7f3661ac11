"""What an idle application costs: memory, the time to import the package, the time until it is ready.

Each is measured in a process of its own, an interpreter like this one, in an empty folder and without ``PURISTA_*``
settings.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from time import perf_counter

import msgspec

from . import idle

__all__ = ("Start", "import_seconds", "observe", "proportional_size", "run_seconds", "start")

_PATIENCE = 120.0
"""Seconds after which a process that says nothing is ended: an emulated processor is slow."""
_IMPORT = """
import asyncio, anyio, msgspec
from time import perf_counter
started = perf_counter()
import purista_fast
print(perf_counter() - started)
"""


class Start(msgspec.Struct, frozen=True):
    """How a start of the idle application went."""

    ready: float
    """Seconds from the start of the process until it says that it is ready."""
    memory: int | None
    """Proportional set size in bytes after a garbage collection; ``None`` if the kernel does not tell.

    What it shares with other processes counts by halves, thirds, …: with this one as well, which runs the same
    interpreter.
    """


def import_seconds() -> float:
    """How long ``import purista_fast`` takes where asyncio, anyio and msgspec are there already.

    :raises RuntimeError: if it fails, with what the interpreter said.
    """
    return float(_run(_IMPORT))


def run_seconds(code: str) -> float:
    """How long an interpreter runs that does this and nothing else, its start and end included.

    :raises RuntimeError: if it fails, with what the interpreter said.
    """
    started = perf_counter()
    _run(code)
    return perf_counter() - started


def start(bridge: str = "memory://", program: Sequence[str] = ("-m", "purista_fast.cli")) -> Start:
    """Starts ``purista-fast run`` with the idle application, and ends it again.

    :param program: what runs the command line: a module, or the installed script.
    :raises RuntimeError: if it does not get ready, with what it said.
    """
    return observe([*program, "run", f"{idle.__name__}:app", f"--bridge={bridge}"], " is ready as instance ")


def observe(arguments: Sequence[str], ready: str, python: str = sys.executable) -> Start:
    """Starts a program that collects its garbage, and says :data:`~.idle.COLLECTED`, at SIGUSR1; ends it again.

    :param ready: what it writes to standard error once it is ready.
    :raises RuntimeError: if it does not get ready, with what it said.
    """
    started = perf_counter()
    with _process(arguments, subprocess.DEVNULL, python) as process:
        _wait_for(process, ready)
        seconds = perf_counter() - started
        process.send_signal(signal.SIGUSR1)
        _wait_for(process, idle.COLLECTED)
        memory = proportional_size(process.pid)
        process.terminate()
        process.communicate()
    return Start(seconds, memory)


def proportional_size(process: int) -> int | None:
    """The proportional set size of a process in bytes, ``None`` if the kernel does not tell.

    >>> import os
    >>> size = proportional_size(os.getpid())
    >>> size is None or size > 1_000_000
    True
    """
    for name in ("smaps_rollup", "smaps"):
        try:
            lines = Path(f"/proc/{process}/{name}").read_text("ascii", "replace").splitlines()
        except OSError:
            continue
        if sizes := [int(line.split()[1]) for line in lines if line.startswith("Pss:")]:
            return sum(sizes) * 1024
    return None


def _run(code: str) -> str:
    with _process(["-c", code], subprocess.PIPE) as process:
        printed, said = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{code.strip()} failed: {said.strip()}")
    return printed


@contextmanager
def _process(arguments: Sequence[str], stdout: int, python: str = sys.executable) -> Iterator[subprocess.Popen[str]]:
    """An interpreter, for the time of the block; one that hangs is ended."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PURISTA_")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # a start is warm: its modules have been compiled before
    if paths := os.environ.get("PYTHONPATH"):
        # They may be of the folder that this process is in; the other is in an empty one.
        environment["PYTHONPATH"] = os.pathsep.join(os.path.abspath(path) for path in paths.split(os.pathsep))
    with (
        tempfile.TemporaryDirectory(prefix="purista-fast-bench-") as folder,
        subprocess.Popen(  # noqa: S603 - an interpreter
            [python, *arguments],
            cwd=folder,
            env={**environment, "PYTHONUTF8": "1", "STATE_DIRECTORY": folder},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        patience = Timer(_PATIENCE, process.kill)
        patience.start()
        try:
            yield process
        finally:
            patience.cancel()
            process.kill()


def _wait_for(process: subprocess.Popen[str], text: str) -> None:
    said = []
    for line in process.stderr or ():
        if text in line:
            return
        said.append(line)
    raise RuntimeError(f"the idle application ended: {''.join(said).strip() or 'it said nothing'}")
