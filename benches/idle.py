"""E: what an application costs before it does anything: memory, time to import and to start, size of the wheel.

The application has one service with a command and a subscription, and is started as users start it, by the script
``purista-fast run``; its garbage is collected before its memory is read, as in all that it is compared with.

E1 compares proportional set sizes: what processes share counts by halves, thirds, and so on. So only one of the
compared processes runs at a time, as on a device, and each shares with the same others: with this one above all, which
runs the same interpreter. *bare interpreter* has asyncio, anyio and msgspec imported, and nothing else. FastStream has
one subscriber and no state on disk; it knows no bridge in memory, so that it is connected to a broker in E3 too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from shutil import which

from purista_fast.bench.startup import Start, import_seconds, observe, run_seconds, start

from .harness import Goal, Result, Skipped, Wanted, compare
from .mqtt_broker import broker, find
from .peers import PYTHON

__all__ = ("FASTSTREAM", "results")

_ROUNDS = 7
_STARTS = 20
"""Of which the fastest counts."""
_ROOT = Path(__file__).resolve().parents[1]
FASTSTREAM = Path(__file__).with_name("peers") / "idle_faststream.py"
_IMPORTS = "import asyncio, msgspec, anyio"
_BARE = f"""
{_IMPORTS}
import gc, signal, sys
def collect(*_):
    gc.collect()
    print("collected", file=sys.stderr, flush=True)
signal.signal(signal.SIGUSR1, collect)
print("is ready", file=sys.stderr, flush=True)
while True:
    signal.pause()
"""


def results(wanted: Wanted) -> Iterator[Result | Skipped]:
    """E1 to E4."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        port = None
        if find() is not None and (wanted("E1") or wanted("E3")):
            port = stack.enter_context(broker(Path(folder) / "broker"))
        if wanted("E1"):
            yield from _memory(port)
        if wanted("E2"):
            seconds = [import_seconds() * 1e3 for _ in range(_STARTS)]
            yield compare("E2", "import purista_fast", seconds, {}, Goal(15.0, "limit"), unit="ms", statistic=min)
        if wanted("E3"):
            yield from _ready(port)
        if wanted("E4"):
            yield _wheel(Path(folder))


def _memory(port: int | None) -> Iterator[Result | Skipped]:
    sides = {"bare": lambda: _size(_bare()), "memory": lambda: _size(_ours())}
    if port is not None:
        sides["mqtt"] = lambda: _size(_ours(f"mqtt://127.0.0.1:{port}"))
        if PYTHON.exists():
            sides["FastStream"] = lambda: _size(_faststream(port))
    found = _rounds(sides, _ROUNDS)
    bare = {"bare interpreter": found["bare"]}
    yield compare("E1", "memory, idle on memory://", found["memory"], bare, Goal(1.2, "at most"), unit="MB")
    what = "memory, idle on mqtt://"
    if "mqtt" not in found:
        yield Skipped("E1", what, "mosquitto is missing: apt-get install mosquitto")
        return
    yield compare("E1", what, found["mqtt"], bare, Goal(1.4, "at most"), unit="MB")
    if "FastStream" in found:
        yield compare("E1", what, found["mqtt"], {"FastStream": found["FastStream"]}, None, unit="MB")


def _ready(port: int | None) -> Iterator[Result | Skipped]:
    sides = {"ours": lambda: _ours().ready * 1e3, "imports": lambda: run_seconds(_IMPORTS) * 1e3}
    if port is not None and PYTHON.exists():
        sides["FastStream"] = lambda: _faststream(port).ready * 1e3
    found = _rounds(sides, _STARTS)
    what, ours = "start to ready on memory://", found["ours"]
    yield compare("E3", what, ours, {_IMPORTS: found["imports"]}, Goal(1.6, "at most"), unit="ms", statistic=min)
    if "FastStream" in found:
        peer = {"FastStream, MQTT": found["FastStream"]}
        yield compare("E3", what, ours, peer, None, unit="ms", statistic=min)


def _wheel(folder: Path) -> Result | Skipped:
    maturin = which("maturin", path=Path(sys.executable).parent)
    if maturin is None or which("cargo") is None:
        return Skipped("E4", "size of the wheel", "maturin or cargo is missing: make bench has both")
    # As the Makefile sets it: cargo would build all of it anew for another environment.
    environment = {**os.environ, "PYO3_PYTHON": sys.executable, "PYO3_BUILD_EXTENSION_MODULE": "1"}
    command = [maturin, "build", "--release", "--locked", "--quiet", "--out", str(folder / "wheel")]
    done = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"maturin failed: {done.stderr.strip()}")
    sizes = [wheel.stat().st_size / 2**20 for wheel in (folder / "wheel").glob("*.whl")]
    return compare("E4", "size of the wheel", sizes, {}, Goal(1.0, "limit"), unit="MiB")


def _rounds(sides: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Each side once a round, every other round in the opposite order; once more before, to be warm."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    order = list(sides)
    for number in range(rounds + 1):
        for name in order:
            figure = sides[name]()
            if number:
                found[name].append(figure)
        order.reverse()
    return found


def _ours(bridge: str = "memory://") -> Start:
    script = Path(sys.executable).with_name("purista-fast")
    return start(bridge, [str(script)] if script.exists() else ["-m", "purista_fast.cli"])


def _bare() -> Start:
    return observe(["-c", _BARE], "is ready")


def _faststream(port: int) -> Start:
    return observe([str(FASTSTREAM), str(port)], "is ready", str(PYTHON))


def _size(process: Start) -> float:
    if process.memory is None:
        raise RuntimeError("the kernel does not tell the proportional set size of a process")
    return process.memory / 1e6
