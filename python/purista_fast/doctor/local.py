"""What this machine must offer: a state directory with room, and a clock that is right."""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .finding import Finding, broken, ok, warn

__all__ = ("check_clock", "check_state_directory")

_LITTLE_ROOM = 256 * 1024 * 1024
"""So many bytes are free at least on a disk that an outbox can grow on for a while."""
_TIME_ERROR = 5
"""What ``adjtimex`` returns while the clock is not synchronised."""


def check_state_directory(directory: Path) -> Iterator[Finding]:
    """Writes and removes a file there, or where it would be made, and looks at the room."""
    there = next(path for path in (directory, *directory.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
        free = shutil.disk_usage(there).free
    except OSError as error:
        yield broken(
            "state directory",
            f"{there} cannot be written: {error.strerror or error}",
            "storage.state_dir = a folder of the account that runs the application",
            "nothing starts: the outbox and the session's subscriptions have no place",
        )
        return
    text = f"{directory} can be written, {free // 1024**2} MiB are free"
    if free < _LITTLE_ROOM:
        change = f"make room there, or a smaller [outbox] max_bytes than {free // 1024**2} MiB"
        yield warn("state directory", text, change, "when it is full, emit raises 507")
    else:
        yield ok("state directory", text)


def check_clock() -> Iterator[Finding]:
    """Asks the kernel whether something keeps the clock right."""
    state = _clock_state()
    if state is None:
        yield ok("clock", "this system does not tell whether its clock is right")
    elif state == _TIME_ERROR:
        yield warn(
            "clock",
            "the kernel does not call the clock synchronised",
            "a time service such as systemd-timesyncd or chrony, or outbox.trust_clock as it is meant",
            "ages and expiries count powered time only, and certificates may look expired",
        )
    else:
        yield ok("clock", "the clock is synchronised")


def _clock_state() -> int | None:
    """The answer of adjtimex(2); ``None`` if there is none."""
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return None
    # A zeroed ``struct timex`` asks and changes nothing; it is 208 bytes long at most.
    state: int = adjtimex(ctypes.create_string_buffer(512))
    return None if state < 0 else state
