"""Both ends of ``purista-fast run --workers N``: a process becomes the supervisor, and a worker follows it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from ..config import Settings
from ..errors import ConfigError
from ..urls import public_url, scheme
from .output import flush

__all__ = ("check", "follow", "supervise")


def check(settings: Settings, workers: int) -> None:
    """Sees that several processes can share the load.

    :raises ConfigError: if they would share nothing.
    """
    if scheme(settings.bridge.url) == "memory":
        raise ConfigError(
            f"{settings.source}: app.workers: {public_url(settings.bridge.url)} does not leave its process, so "
            f"{workers} workers would share nothing: name a broker by bridge.url, or run without workers"
        )


def supervise(words: Sequence[str], settings: Settings, workers: int) -> NoReturn:
    """Becomes the supervisor of workers that run this command line; see :mod:`purista_fast.cli.supervisor`.

    It takes the place of this process, whose id and memory limit it keeps, in an interpreter without site-packages.

    :raises ConfigError: for a bridge that workers cannot share.
    """
    check(settings, workers)
    from . import supervisor

    flush()
    script = [sys.executable, "-I", "-S", supervisor.__file__, settings.app.log_level, str(workers)]
    # -P: modules of the current folder are found as the application's, not in place of those of the interpreter.
    os.execv(sys.executable, [*script, sys.executable, "-P", "-m", "purista_fast.cli", *words])  # noqa: S606 - no shell


def follow() -> None:
    """Has the kernel end this worker by SIGTERM, as the supervisor would, when the supervisor is there no more."""
    lifeline = os.environ.pop("PURISTA_LIFELINE", "")
    if not lifeline:
        return
    import fcntl
    import select
    import signal

    pipe = int(lifeline)
    os.set_inheritable(pipe, False)
    fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGTERM)
    fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(pipe, 0)
    if poll.poll(0):  # it ended before there was somebody to be told
        os.kill(os.getpid(), signal.SIGTERM)
