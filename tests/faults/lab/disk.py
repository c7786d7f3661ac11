"""Disks that are full, read-only or gone, and files that are damaged."""

from __future__ import annotations

import errno
import os
import random
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from .shims import BreakingDisk

__all__ = ("DAMAGES", "SmallDisk")

PAGE = 4096


class SmallDisk:
    """A disk of a few MiB at a folder: a tmpfs, or, where nobody may mount, a library that says what it would say.

    :raises RuntimeError: if root cannot mount it.
    """

    def __init__(self, folder: Path, mebibytes: int = 4) -> None:
        self.folder = folder
        self.is_real = os.geteuid() == 0
        self.environment: Mapping[str, str] = {}
        """For programs whose files are on it."""
        folder.mkdir(exist_ok=True)
        self._ballast = folder / "ballast"
        self._pretended: BreakingDisk | None = None
        if self.is_real:
            _run("mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder))
        else:
            self._pretended = BreakingDisk(folder.parent, folder)
            self.environment = self._pretended.environment

    def fill(self) -> None:
        """Fills it with a file of another program, to the last page."""
        if self._pretended is not None:
            self._pretended.fail(errno.ENOSPC)
            return
        try:
            with self._ballast.open("ab", buffering=0) as file:
                while file.write(bytes(PAGE)):
                    pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def free(self) -> None:
        """Removes that file."""
        if self._pretended is not None:
            self._pretended.fail(0)
        else:
            self._ballast.unlink()

    def read_only(self, on: bool) -> None:
        """A read-only mount over it: all that is opened from now on. A kernel refuses a remount under open files; for
        a disk that turns read-only under them see :class:`tests.faults.lab.shims.BreakingDisk`."""
        if self._pretended is not None:
            self._pretended.fail(errno.EROFS if on else 0)
        elif on:
            _run("mount", "--bind", str(self.folder), str(self.folder))
            _run("mount", "-o", "remount,bind,ro", str(self.folder))
        else:
            _run("umount", str(self.folder))

    def close(self) -> None:
        if self.is_real:
            _run("umount", "-l", str(self.folder))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


def torn_tail(path: Path, chance: random.Random) -> None:
    """The last write reached the disk in part."""
    os.truncate(path, _live(path) - chance.randrange(1, PAGE))


def flipped_bits(path: Path, chance: random.Random) -> None:
    """Three bits anywhere but in the first page."""
    data = bytearray(path.read_bytes())
    for _ in range(3):
        data[chance.randrange(PAGE, _live(path))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def zeroed_pages(path: Path, chance: random.Random) -> None:
    """Two pages of zeros."""
    data = bytearray(path.read_bytes())
    for _ in range(2):
        page = chance.randrange(_live(path) // PAGE)
        data[page * PAGE : (page + 1) * PAGE] = bytes(PAGE)
    path.write_bytes(data)


def truncated_file(path: Path, chance: random.Random) -> None:
    """Half of it is gone."""
    os.truncate(path, _live(path) // 2)


def damaged_header(path: Path, chance: random.Random) -> None:
    """The file says that it is something else."""
    data = bytearray(path.read_bytes())
    data[chance.randrange(16)] ^= 0xFF
    path.write_bytes(data)


def _live(path: Path) -> int:
    """How many bytes of a file are in use: SQLite writes its log over the last one, whose rest lies behind it."""
    data = path.read_bytes()
    if not path.name.endswith("-wal"):
        return len(data)
    page, salts = int.from_bytes(data[8:12], "big"), data[16:24]
    at = 32
    while data[at + 8 : at + 16] == salts:
        at += 24 + page
    return at


DAMAGES: dict[str, Callable[[Path, random.Random], None]] = {
    "torn tail": torn_tail,
    "flipped bits": flipped_bits,
    "zeroed pages": zeroed_pages,
    "truncated file": truncated_file,
    "damaged header": damaged_header,
}
