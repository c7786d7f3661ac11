"""The peers that have an environment of their own, apart from what develops purista-fast."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from purista_fast.bench.timing import Timed

__all__ = ("MISSING", "PYTHON", "bus", "versions")

_INSTALLED = Path(__file__).resolve().parents[2] / ".venv" / "peers" / "bin" / "python"
PYTHON = Path(os.environ.get("BENCH_PEERS") or _INSTALLED)
"""The Python that has them, as ``make bench`` installs it, unless ``BENCH_PEERS`` names another."""
MISSING = "the peers are missing: make bench installs them"

_VERSIONS = """
from importlib.metadata import distributions
for found in distributions():
    print(found.name, found.version)
"""


@contextmanager
def bus(name: str) -> Iterator[Timed]:
    """A peer of ``buses.py`` in a process of its own, for the time of the block.

    :raises RuntimeError: if it ends before it is ready or in the midst of its work; it has said why.
    """
    with subprocess.Popen(
        [PYTHON, Path(__file__).with_name("buses.py"), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        send, answers = process.stdin, process.stdout

        def timed(count: int) -> float:
            print(count, file=send, flush=True)
            return float(answer())

        def answer() -> str:
            if line := answers.readline():
                return line
            raise RuntimeError(f"{name} ended with code {process.wait()}")

        try:
            answer()
            yield timed
        finally:
            process.kill()


def versions(*names: str) -> dict[str, str]:
    """Of those of the named packages that are there."""
    if not PYTHON.exists():
        return {}
    listed = subprocess.run([PYTHON, "-c", _VERSIONS], check=True, capture_output=True, text=True).stdout
    found = dict(line.split(" ", 1) for line in listed.splitlines())
    return {name: found[name] for name in names if name in found}
