"""The installation: a fresh virtual environment with the wheel and what it needs, and its size."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path
from shutil import which

__all__ = ("install", "sizes")

ROOT = Path(__file__).resolve().parents[2]
_NEEDED = ("anyio", "click", "msgspec", "paho-mqtt")
_PIP = ("pip", "pip-", "setuptools", "setuptools-", "_distutils_hack", "distutils-precedence", "pkg_resources")


def install(folder: Path) -> tuple[Path, int]:
    """Builds the wheel, installs it with the versions of this environment, and returns the script and its size.

    :raises RuntimeError: if a step fails, with what it said.
    """
    maturin = which("maturin", path=Path(sys.executable).parent)
    if maturin is None:
        raise RuntimeError("maturin is missing: make footprint has it")
    # As the Makefile sets it: cargo would build all of it anew for another environment.
    environment = {**os.environ, "PYO3_PYTHON": sys.executable, "PYO3_BUILD_EXTENSION_MODULE": "1"}
    wheels = folder / "wheel"
    _run([maturin, "build", "--release", "--locked", "--quiet", "--out", str(wheels)], environment)
    wheel = next(wheels.glob("*.whl"))
    venv.create(folder / "venv", with_pip=True, symlinks=True)
    pinned = [f"{name}=={version(name)}" for name in _NEEDED]
    python = folder / "venv" / "bin" / "python"
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    _run([str(python), "-m", "pip", "install", "--quiet", str(wheel), *pinned], clean)
    return python.with_name("purista-fast"), wheel.stat().st_size


def sizes(script: Path) -> dict[str, int]:
    """What the environment takes on disk, in bytes of its files, the interpreter itself not counted."""
    found = {"all": 0, "without pip": 0, "without pip and .pyc": 0}
    packages = next((script.parents[1] / "lib").glob("python*")) / "site-packages"
    for file in packages.rglob("*"):
        if not file.is_file():
            continue
        size = file.stat().st_size
        found["all"] += size
        top = file.relative_to(packages).parts[0]
        if top in _PIP or top.startswith(tuple(name for name in _PIP if name.endswith("-"))):
            continue
        found["without pip"] += size
        if file.suffix != ".pyc":
            found["without pip and .pyc"] += size
    return found


def _run(words: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} failed: {done.stderr.strip()}")
