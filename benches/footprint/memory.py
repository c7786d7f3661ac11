"""How much memory a process takes, so that nothing else that runs can make it look smaller."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ("Sample", "Series", "SystemLibraries", "read", "sample")

SystemLibraries = ("libc.so.", "libc-2", "libc.musl-", "ld-linux", "ld-musl-", "ld-2")
"""How the names of those files begin that every other program of a device maps too."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The memory of a process at one moment, in bytes."""

    at: float
    """In seconds of the monotonic clock."""
    alone: int
    """The proportional set size that a device would show which runs this and one other program.

    That other program, its init, shares the C library, whose pages count by half; all others count whole, those of the
    interpreter, its extensions and their libraries too, whoever else maps them here.
    """
    paired: int
    """The same where one other program of the same kind runs: every page that comes from a file counts by half."""
    resident: int
    """The resident set size."""
    proportional: int
    """What the kernel calls the proportional set size, which depends on what else runs."""


@dataclass(slots=True)
class Series:
    """Samples of one process."""

    samples: list[Sample] = field(default_factory=list)

    def alone(self) -> list[float]:
        """Each sample's ``alone``, in MB."""
        return [one.alone / 1e6 for one in self.samples]


def read(process: int) -> Sample:
    """The memory of a process now.

    :raises OSError: if it has ended, or the kernel does not tell.

    >>> import os
    >>> now = read(os.getpid())
    >>> 1_000_000 < now.paired < now.alone < now.resident
    True
    """
    alone = paired = resident = proportional = size = 0
    is_common = False
    for line in Path(f"/proc/{process}/smaps").read_bytes().splitlines():
        # Mappings begin with an address in small hexadecimal digits, what is said of them with a capital.
        if line[:1] in b"0123456789abcdef":
            parts = line.split(None, 5)
            name = parts[5].rpartition(b"/")[2].decode("utf-8", "replace") if len(parts) > 5 else ""
            is_common = name.startswith(SystemLibraries)
        elif line.startswith(b"Rss:"):
            size = int(line.split()[1]) * 1024
            resident += size
        elif line.startswith(b"Anonymous:"):
            from_file = size - int(line.split()[1]) * 1024
            alone += size - (from_file // 2 if is_common else 0)
            paired += size - from_file // 2
        elif line.startswith(b"Pss:"):
            proportional += int(line.split()[1]) * 1024
    if not resident:
        raise ProcessLookupError(f"process {process} has ended")
    return Sample(time.monotonic(), alone, paired, resident, proportional)


def sample(
    processes: Mapping[str, int], seconds: float, period: float, is_over: Callable[[], bool] = lambda: False
) -> dict[str, Series]:
    """Reads the memory of processes, by name, at every period until the seconds have passed or it is over.

    :raises OSError: if one has ended meanwhile.
    """
    found = {name: Series() for name in processes}
    end = due = time.monotonic()
    end += seconds
    while True:
        for name, process in processes.items():
            found[name].samples.append(read(process))
        due = max(due + period, time.monotonic())
        if due > end or is_over():
            return found
        time.sleep(due - time.monotonic() if due > time.monotonic() else 0)
