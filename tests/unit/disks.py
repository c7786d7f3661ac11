"""Small disks for tests: a tmpfs in a mount of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE = 4 * 1024 * 1024


class Disk:
    """A disk of 4 MiB."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Nothing can be written within the block."""
        _mount("-o", "remount,ro", str(self.folder))
        try:
            yield
        finally:
            _mount("-o", "remount,rw", str(self.folder))

    def fill(self, leave: int = 0) -> None:
        """Takes the room there is, but for some bytes."""
        with (self.folder / "ballast").open("ab", buffering=0) as out:
            for size in (65536, 4096, 1):
                try:
                    while out.write(b"x" * size):
                        pass
                except OSError:
                    continue
            out.truncate(max(0, out.tell() - leave))

    def free(self) -> None:
        """Gives the room back."""
        (self.folder / "ballast").unlink(missing_ok=True)


@contextmanager
def mounted(folder: Path) -> Iterator[Disk]:
    """A disk at a folder, for the time of the block."""
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={SIZE},mode=700", "none", str(folder))
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _mount(*arguments: str) -> None:
    made = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if made.returncode:
        raise RuntimeError(f"no disk can be mounted, which these tests need root for: {made.stderr.strip()}")
