"""What this machine must offer: a state directory with room, and a clock that is right."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..policy import Trust
from ..storage.clock import PoweredClock
from .finding import Finding, broken, ok, warn

__all__ = ("check_clock", "check_state_directory")


def check_state_directory(directory: Path, room: int) -> Iterator[Finding]:
    """Writes and removes a file there, or where it would be made, and looks at the room.

    :param room: how much outbox, retries and dead letters may take, in bytes.
    """
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
    if free < room:
        yield warn(
            "state directory",
            f"{text}, and outbox, retries and dead letters may take {room // 1024**2} MiB",
            "make room there, or smaller outbox.max_bytes, retries.max_bytes and dead_letters.max_bytes",
            "when the disk is full, emit raises an error",
        )
    else:
        yield ok("state directory", text)


def check_clock(trust: Trust) -> Finding:
    """Asks whether the wall clock counts.

    :param trust: ``outbox.trust_clock``.
    """
    if trust != "auto":
        return ok("clock", f"outbox.trust_clock is {trust!r}: the kernel is not asked")
    if PoweredClock(trust).is_right():
        return ok("clock", "the clock is synchronised")
    return warn(
        "clock",
        "the kernel does not call the clock synchronised",
        'a time service such as systemd-timesyncd or chrony, or outbox.trust_clock = "always" if the clock is right',
        "ages count powered time only, and certificates may look expired",
    )
