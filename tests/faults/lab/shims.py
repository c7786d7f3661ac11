"""Small libraries that stand between a program and its kernel, compiled when they are needed."""

from __future__ import annotations

import functools
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

__all__ = ("BreakingDisk", "FakeClock", "shim")


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="purista-shims-")


@functools.cache
def shim(name: str) -> Path:
    """Compiles ``name.c`` of this folder; the library to preload.

    :raises RuntimeError: without a C compiler.
    """
    source = Path(__file__).with_name(f"{name}.c")
    target = Path(_folder().name) / f"{name}.so"
    command = ["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", str(target), str(source), "-ldl"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise RuntimeError(
            "cc is not installed; the fault cases need a C compiler: apt install gcc libc6-dev"
        ) from None
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"{source.name} does not compile:\n{error.stderr}") from None
    return target


class FakeClock:
    """The wall clock of the programs that are started with :attr:`environment`; their monotonic clock is real."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self.jump(0)
        self.environment: Mapping[str, str] = {"LD_PRELOAD": str(shim("clock")), "FAULTS_CLOCK": str(self._file)}

    def jump(self, seconds: float) -> None:
        """From now on it is this many seconds off the real time."""
        _overwrite(self._file, struct.pack("=q", int(seconds)))


class BreakingDisk:
    """The disk under ``root``, for the programs that are started with :attr:`environment`."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._file = folder / "disk-error"
        self.fail(0)
        self.environment: Mapping[str, str] = {
            "LD_PRELOAD": str(shim("disk")),
            "FAULTS_DISK_ERROR": str(self._file),
            "FAULTS_DISK_ROOT": str(root.resolve()),
        }

    def fail(self, number: int) -> None:
        """From now on whatever would change a file there fails with this ``errno``; 0 mends it."""
        _overwrite(self._file, struct.pack("=i", number))


def _overwrite(path: Path, data: bytes) -> None:
    """In place, since programs have it mapped."""
    with path.open("r+b" if path.exists() else "wb") as file:
        file.write(data)
