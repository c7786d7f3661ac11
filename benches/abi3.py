"""``python -m benches.abi3 [A,B,C]``: the extension for every Python (abi3) beside one for this Python alone.

Builds both, counts the instructions of some sections where valgrind is installed, and runs ``purista-fast bench`` with
each, in turns; the least of the rounds counts. It needs cargo, and in the Python that runs it what purista-fast needs:
to measure another version, run it with that one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from . import instructions
from .sections import COUNT, NAMES

_ROUNDS = 5
_ROOT = Path(__file__).resolve().parents[1]
_KINDS = {
    "abi3": ([], "_core.abi3.so"),
    "single": (["--no-default-features"], f"_core{sysconfig.get_config_var('EXT_SUFFIX')}"),
}
"""What cargo is told, and what Python expects the extension to be called."""


def build(kind: str, folder: Path) -> Path:
    """Makes a folder with the package and an extension of this kind; returns the extension."""
    flags, name = _KINDS[kind]
    target = _ROOT / "target" / f"bench-{kind}-{sys.implementation.cache_tag}"
    environment = {**os.environ, "PYO3_PYTHON": sys.executable, "PYO3_BUILD_EXTENSION_MODULE": "1"}
    command = ["cargo", "build", "--release", "--locked", "--quiet", "-p", "purista-python"]
    command += ["--target-dir", str(target), *flags]
    subprocess.run(command, cwd=_ROOT, env=environment, check=True)
    package = folder / "purista_fast"
    shutil.copytree(
        _ROOT / "python" / "purista_fast", package, ignore=shutil.ignore_patterns("_core*.so", "__pycache__")
    )
    return Path(shutil.copyfile(target / "release" / "lib_core.so", package / name))


def measure(folder: Path, ids: str) -> dict[tuple[str, str, str], float]:
    """The figures of one run, by id, what they are of, and unit."""
    command = [sys.executable, "-m", "purista_fast.cli", "bench", ids, "--json"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE)
    return {(found["id"], found["what"], found["unit"]): found["value"] for found in json.loads(done.stdout)["figures"]}


def counted(folder: Path) -> list[float]:
    """How many instructions each section takes, done once."""
    os.environ["PYTHONPATH"] = str(folder)
    return [total / COUNT for total in instructions.count("benches.sections")]


def main(ids: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        folders = {kind: Path(place) / kind for kind in _KINDS}
        for kind, folder in folders.items():
            print(f"{kind}: {build(kind, folder).stat().st_size / 1024:.0f} KiB")
        row = "{:<3} {:<42} {:>10} {:>10} {:<3} {:>6}"
        if instructions.is_available():
            print(row.format("", f"Python {sys.version.split()[0]}, instructions", *_KINDS, "", "ratio"))
            for name, abi3, single in zip(NAMES, *map(counted, folders.values()), strict=True):
                print(row.format(name[:2], name[3:], f"{abi3:,.0f}", f"{single:,.0f}", "", f"{single / abi3:.3f}"))
        rounds: dict[str, list[dict[tuple[str, str, str], float]]] = {kind: [] for kind in _KINDS}
        order = list(_KINDS)
        for _ in range(_ROUNDS):
            for kind in order:
                rounds[kind].append(measure(folders[kind], ids))
            order.reverse()
    print(row.format("", f"Python {sys.version.split()[0]}, least of {_ROUNDS}", *_KINDS, "", "ratio"))
    for id, what, unit in rounds["abi3"][0]:
        abi3, single = (min(found[id, what, unit] for found in rounds[kind]) for kind in _KINDS)
        print(row.format(id, what, f"{abi3:.3f}", f"{single:.3f}", unit, f"{single / abi3:.2f}"))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "A,B,C")
