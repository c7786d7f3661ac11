"""What emitters and subscribers write down about each message, outside of everything that a fault touches.

One line of JSON for each thing that happened, appended by a single write: a process that is killed loses none, and
tears none.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ("Journal", "Key", "Record", "Tail", "digest")

Key = tuple[str, str, int]
"""Emitter, event name, number: what a message is, over all of its deliveries."""

ATTEMPTED, CONFIRMED, FAILED = "attempted", "confirmed", "failed"
STARTED, HANDLED = "started", "handled"
MARK = "mark"


def digest(payload: Any) -> str:
    """The hash of a payload, equal for equal JSON."""
    return hashlib.blake2b(json.dumps(payload, sort_keys=True).encode(), digest_size=12).hexdigest()


@dataclass(frozen=True, slots=True)
class Record:
    """One line.

    :param who: the process: an emitter, or the consumer that handled it.
    :param at: seconds of the monotonic clock, which all processes of a machine share.
    :param wall: seconds since 1970, as the process believed.
    :param note: the status of a failure, the message id of a delivery, the name of a mark.
    """

    kind: str
    who: str
    emitter: str
    event: str
    number: int
    hash: str
    at: float
    wall: float
    note: str = ""

    @property
    def key(self) -> Key:
        return (self.emitter, self.event, self.number)


class Journal:
    """Appends to the records of one process."""

    def __init__(self, folder: Path | str, who: str) -> None:
        self._who = who
        self._file = os.open(Path(folder) / f"{who}.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, kind: str, emitter: str, event: str, number: int, hash_: str, note: str = "") -> None:
        line = [kind, self._who, emitter, event, number, hash_, time.monotonic(), time.time(), note]
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def mark(self, name: str) -> None:
        """Says when a fault began or ended."""
        self.write(MARK, "", "", 0, "", name)

    def close(self) -> None:
        os.close(self._file)


class Tail:
    """Reads what was appended since the last time, of all journals of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}

    def __iter__(self) -> Iterator[Record]:
        for path in sorted(self._folder.glob("*.jsonl")):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                data = file.read()
            whole = data.rfind(b"\n") + 1
            self._read[path] = self._read.get(path, 0) + whole
            for line in data[:whole].splitlines():
                yield Record(*json.loads(line))
