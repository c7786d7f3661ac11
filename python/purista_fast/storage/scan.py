"""Rows of a database file whose trees are broken: each page is looked at by itself.

See https://www.sqlite.org/fileformat2.html#b_tree_pages and the chapters after it.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .schema import PAGE

__all__ = ("Found", "scan")

_LEAF = 0x0D
_MOST = PAGE - 35
_LEAST = (PAGE - 12) * 32 // 255 - 23
_LARGEST = 1 << 28
"""The largest message of MQTT."""
Value = int | float | str | bytes | None


class Found(NamedTuple):
    """A row of some table."""

    number: int
    values: list[Value]
    """Its columns; the number is ``None`` among them."""


def scan(file: Path) -> Iterator[Found]:
    """Every row that looks like one. Those of free pages are left out, if the list of free pages can be read.

    :raises OSError: if the file cannot be read.
    """
    if not file.stat().st_size:
        return
    with file.open("rb") as source, mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield from _cells(data)


def _cells(data: mmap.mmap) -> Iterator[Found]:
    free = _free(data)
    for number in range(1, len(data) // PAGE + 1):
        page = data[(number - 1) * PAGE : number * PAGE]
        if page[0] == _LEAF and number not in free:
            for index in range(min(int.from_bytes(page[3:5], "big"), PAGE // 4)):
                try:
                    yield _cell(data, page, int.from_bytes(page[8 + 2 * index : 10 + 2 * index], "big"))
                except (ValueError, IndexError, struct.error):
                    continue


def _free(data: mmap.mmap) -> set[int]:
    """The pages that are in no table."""
    free: set[int] = set()
    trunk = int.from_bytes(data[32:36], "big")
    while trunk not in free and 1 < trunk <= len(data) // PAGE:
        free.add(trunk)
        page = data[(trunk - 1) * PAGE : trunk * PAGE]
        count = min(int.from_bytes(page[4:8], "big"), PAGE // 4 - 2)
        free.update(struct.unpack_from(f">{count}I", page, 8))
        trunk = int.from_bytes(page[:4], "big")
    return free


def _cell(data: mmap.mmap, page: bytes, at: int) -> Found:
    size, at = _varint(page, at)
    number, at = _varint(page, at)
    if size > _LARGEST:
        raise ValueError("too large")
    if size <= _MOST:
        return Found(number, _record(page[at : at + size], size))
    local = _LEAST + (size - _LEAST) % (PAGE - 4)
    local = local if local <= _MOST else _LEAST
    body = bytearray(page[at : at + local])
    more = int.from_bytes(page[at + local : at + local + 4], "big")
    while len(body) < size and 1 < more <= len(data) // PAGE:
        start = (more - 1) * PAGE
        body += data[start + 4 : start + min(PAGE, 4 + size - len(body))]
        more = int.from_bytes(data[start : start + 4], "big")
    return Found(number, _record(bytes(body), size))


def _record(body: bytes, size: int) -> list[Value]:
    if len(body) != size:
        raise ValueError("cut off")
    end, at = _varint(body, 0)
    kinds = []
    while at < end:
        kind, at = _varint(body, at)
        kinds.append(kind)
    values: list[Value] = []
    for kind in kinds:
        length = _length(kind)
        part = body[at : at + length]
        if len(part) != length:
            raise ValueError("cut off")
        at += length
        values.append(_value(kind, part))
    return values


def _length(kind: int) -> int:
    return (kind - 12) // 2 if kind >= 12 else (0, 1, 2, 3, 4, 6, 8, 8, 0, 0)[kind]


def _value(kind: int, part: bytes) -> Value:
    if kind == 0:
        return None
    if kind in (8, 9):
        return kind - 8
    if kind == 7:
        return float(struct.unpack(">d", part)[0])
    if kind < 7:
        return int.from_bytes(part, "big", signed=True)
    return part.decode() if kind % 2 else part


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(8):
        byte = data[at + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    value = value << 8 | data[at + 8]
    return value - (1 << 64) if value >> 63 else value, at + 9
