"""The log of a ``messages.db`` (``-wal``), read without SQLite, which ends at the first damaged frame and says nothing.

See https://www.sqlite.org/fileformat2.html#the_write_ahead_log.
"""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass
from pathlib import Path

from .schema import PAGE

__all__ = ("bring_in", "fault")

_HEADER, _FRAME = 32, 24
_MAGIC = 0x377F0682
"""The last bit says whether checksums are made of big-endian words."""


@dataclass(slots=True)
class _Log:
    data: bytes
    frames: list[tuple[int, bool, bool]]
    """Page, whether a transaction ends with it, and whether it is whole, for each frame of the log's present round."""
    has_header: bool
    valid: int
    """How many frames at its beginning SQLite takes: whole ones, up to the end of a transaction."""

    def reach(self) -> int:
        """How many frames belong to transactions that were on disk.

        A power cut may leave a transaction whose frames are there in part, in any order; it was never confirmed. But
        the next one begins only when it is on disk. So a damaged frame was on disk if a later transaction is there.
        """
        ends = [index for index, (_, is_end, _) in enumerate(self.frames) if is_end and index >= self.valid]
        broken = next((i for i, (_, _, whole) in enumerate(self.frames) if not whole and i >= self.valid), None)
        if not self.has_header:
            return ends[-1] + 1 if ends else 0
        return ends[-1] + 1 if broken is not None and len([end for end in ends if end >= broken]) > 1 else self.valid


def fault(log: Path) -> str | None:
    """What of a log SQLite would leave out in silence, though it was committed; ``None`` if there is nothing.

    :raises OSError: if it cannot be read.
    """
    found = _read(log)
    if found is None or found.reach() <= found.valid:
        return None
    what = "its header is damaged" if not found.has_header else f"frame {found.valid + 1} or one after it is damaged"
    return f"the log ({log.name}): {what}, with {found.reach() - found.valid} committed frames of {len(found.frames)}"


def bring_in(file: Path) -> None:
    """Writes every whole frame of committed transactions into a file, and removes the log.

    SQLite does so only with those before the first damaged one.

    :raises OSError: if that fails.
    """
    log = file.with_name(file.name + "-wal")
    found = _read(log)
    if found is not None:
        with file.open("r+b") as out:
            for index, (page, _, is_whole) in enumerate(found.frames[: found.reach()]):
                if is_whole:
                    start = _HEADER + index * (_FRAME + PAGE) + _FRAME
                    out.seek((page - 1) * PAGE)
                    out.write(found.data[start : start + PAGE])
            # The number of pages may be in a frame that is lost.
            pages = out.seek(0, 2) // PAGE
            if pages:
                out.seek(28)
                out.write(pages.to_bytes(4, "big"))
    log.unlink(missing_ok=True)


def _read(log: Path) -> _Log | None:
    try:
        data = log.read_bytes()
    except FileNotFoundError:
        return None
    if len(data) < _HEADER + _FRAME + PAGE:
        return None
    magic, _, size, _, *salts, first, second = struct.unpack_from(">8I", data)
    order = "<" if magic == _MAGIC else ">"
    has_header = magic & ~1 == _MAGIC and size == PAGE and _sums(data[:24], (0, 0), order) == (first, second)
    if not has_header:
        order = "<" if sys.byteorder == "little" else ">"
        salts = list(struct.unpack_from(">2I", data, _HEADER + 8))
    file = log.with_name(log.name.removesuffix("-wal"))
    count = (len(data) - _HEADER) // (_FRAME + PAGE)
    highest = count + (file.stat().st_size // PAGE if file.exists() else 0)
    sums, valid, is_unbroken = (first, second), 0, has_header
    frames: list[tuple[int, bool, bool]] = []
    for start in range(_HEADER, _HEADER + count * (_FRAME + PAGE), _FRAME + PAGE):
        page, pages, *salt, first, second = struct.unpack_from(">6I", data, start)
        body = data[start : start + 8] + data[start + _FRAME : start + _FRAME + PAGE]
        # Each sum goes on from the one before it, as that is written: so a frame after a damaged one can be judged.
        is_whole = salt == salts and 0 < page <= highest and _sums(body, sums, order) == (first, second)
        is_unbroken = is_unbroken and is_whole
        sums = (first, second)
        frames.append((page, bool(pages) and salt == salts, is_whole))
        if is_unbroken and pages:
            valid = len(frames)
    if not has_header and count > 1 and frames[1][2]:
        # The first one has nothing to go on from, but the second one goes on from it.
        frames[0] = (frames[0][0], frames[0][1], frames[0][0] <= highest)
    elif not has_header:
        frames = []
    return _Log(data, frames, has_header, valid)


def _sums(data: bytes, sums: tuple[int, int], order: str) -> tuple[int, int]:
    first, second = sums
    words = struct.iter_unpack(f"{order}2I", data)
    for one, two in words:
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + two + first) & 0xFFFFFFFF
    return first, second
