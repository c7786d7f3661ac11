"""Counts instructions with callgrind: the same work comes to the same number, however busy the machine is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

__all__ = ("MISSING", "begin", "count", "is_available", "mark", "pause")

MISSING = "valgrind is missing: apt-get install valgrind"
_TOOLS = ("valgrind", "callgrind_control")


def is_available() -> bool:
    """Whether there is what :func:`count` needs; if not, :data:`MISSING` says what to do."""
    return all(map(shutil.which, _TOOLS))


def count(module: str, *arguments: str) -> list[int]:
    """Runs ``python -m module …`` under callgrind: the instructions between each :func:`mark` and the next.

    :raises RuntimeError: if the program failed, with what it wrote to standard error.
    """
    with TemporaryDirectory() as folder:
        out = Path(folder, "out")
        options = ["--tool=callgrind", "--instr-atstart=no", "--dump-before=getppid", f"--callgrind-out-file={out}"]
        program: Sequence[str] = ["valgrind", "--quiet", *options, sys.executable, "-m", module, *arguments]
        ran = subprocess.run(program, env={**os.environ, "PYTHONHASHSEED": "0"}, stderr=subprocess.PIPE, text=True)
        if ran.returncode:
            raise RuntimeError(f"{module} failed under valgrind:\n{ran.stderr}")
        # The first file ends at the first mark, and what follows the last mark is in a file without number.
        numbers = sorted(int(path.suffix[1:]) for path in out.parent.glob("out.*"))
        return [_total(Path(f"{out}.{number}")) for number in numbers[1:]]


def begin() -> None:
    """Called by the program once all is made ready: from here on it is counted, and much slower."""
    _control("on")


def pause() -> None:
    """Called by the program before it makes the next thing ready. No section may reach across a pause."""
    _control("off")


def _control(instrumentation: str) -> None:
    program = ["callgrind_control", f"--instr={instrumentation}", str(os.getpid())]
    control = subprocess.Popen(program, stdout=subprocess.DEVNULL)
    while control.poll() is None:
        pass  # valgrind does not hear a process that waits
    if control.returncode:
        raise RuntimeError("callgrind_control failed")


def mark() -> None:
    """Called by the program where a section begins or ends: callgrind writes its counts at this system call."""
    os.getppid()


def _total(path: Path) -> int:
    with path.open() as lines:
        for line in lines:
            name, _, rest = line.partition(":")
            if name == "summary":
                return int(rest.split()[0])
    raise RuntimeError(f"callgrind wrote no summary into {path.name}")
