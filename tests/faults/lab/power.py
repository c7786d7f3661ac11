"""A power cut: what was written and not synced is gone, or half of it is (see ``power.c``)."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from .shims import shim

__all__ = ("Names", "Power")

PAGE = 4096
Names = Literal["strict", "journal", "current"]
"""Which names are left: those of folders that were synced, those before the last sync of any file, or all."""


class Power:
    """The disk of one program: a folder, and what of it is on the platter.

    :param root: the folder; all processes with :attr:`environment` are on it.
    """

    def __init__(self, root: Path, shadow: Path) -> None:
        self.root, self._shadow = root.resolve(), shadow.resolve()
        for made in ("data", "strict", "journal"):
            (self._shadow / made).mkdir(parents=True, exist_ok=True)
        self.environment: Mapping[str, str] = {
            "LD_PRELOAD": str(shim("power")),
            "FAULTS_POWER_ROOT": str(self.root),
            "FAULTS_POWER_SHADOW": str(self._shadow),
        }

    def cut(self, *, names: Names, seed: int | None = None) -> None:
        """Leaves of the folder what a power cut would. Its processes have been killed before.

        :param names: which names survive.
        :param seed: chooses which pages that were not synced made it to the platter all the same; ``None``: none did.
        """
        chance = None if seed is None else random.Random(seed)
        for folder in [self.root, *sorted(path for path in self.root.rglob("*") if path.is_dir())]:
            self._cut_folder(folder, names, chance)

    def _cut_folder(self, folder: Path, names: Names, chance: random.Random | None) -> None:
        now = {path.name: _key(path) for path in folder.iterdir() if path.is_file()}
        left = now if names == "current" else self._names(folder, names)
        current = {key: (folder / name).read_bytes() for name, key in now.items()}
        made: dict[str, tuple[bytes, Path | None]] = {}
        for name, key in left.items():
            kept = self._shadow / "data" / key
            synced = kept.read_bytes() if kept.exists() else b""
            content = synced if chance is None else _torn(synced, current.get(key, synced), chance)
            made[name] = (content, kept if kept.exists() else None)
        for name in now:
            (folder / name).unlink()
        for name, (content, kept_at) in made.items():
            (folder / name).write_bytes(content)
            if kept_at is not None:
                state = kept_at.stat()
                os.utime(folder / name, ns=(state.st_atime_ns, state.st_mtime_ns))
            # What is there now is on the platter.
            shutil.copy2(folder / name, self._shadow / "data" / _key(folder / name))
        listing = "".join(f"{_key(folder / name)}\t{name}\n" for name in made)
        for kind in ("strict", "journal"):
            (self._shadow / kind / self._flat(folder)).write_text(listing)

    def _names(self, folder: Path, kind: str) -> dict[str, str]:
        listing = self._shadow / kind / self._flat(folder)
        if not listing.exists():
            return {}
        pairs = (line.split("\t", 1) for line in listing.read_text().splitlines())
        return {name: key for key, name in pairs}

    def _flat(self, folder: Path) -> str:
        below = folder.relative_to(self.root).as_posix()
        return "!" if below == "." else "!" + below.replace("/", "!")


def _torn(synced: bytes, current: bytes, chance: random.Random) -> bytes:
    """The synced content, with each page that has changed since taken over or not."""
    length = chance.choice((len(synced), len(current)))
    pages = []
    for start in range(0, length, PAGE):
        end = min(start + PAGE, length)
        old, new = synced[start:end], current[start:end]
        page = new if chance.random() < 0.5 else old
        pages.append(page.ljust(end - start, b"\0"))
    return b"".join(pages)


def _key(path: Path) -> str:
    """As ``power.c`` makes it."""
    said = subprocess.run(["stat", "-c", "%i %W %w", path], check=True, capture_output=True, text=True).stdout
    inode, seconds, text = said.split(" ", 2)
    fraction = text.split(".")[1][:9] if "." in text else "0"
    return f"{inode}-{seconds}-{int(fraction)}"
