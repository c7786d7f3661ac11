"""Tells systemd, or whatever else speaks its protocol, how the application is: ready, stopping, alive.

Imported where ``NOTIFY_SOCKET`` is set, and only then. Nothing is said of the main process id (``MAINPID``): the
process that was started is the application, and a shell before it has to ``exec`` it.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, MutableMapping

import anyio

from .errors import ConfigError

__all__ = ("Manager",)

logger = logging.getLogger("purista_fast.app")
_PAUSE = 0.1
"""How long to wait if the manager's queue is full, in seconds."""
_REPORT_EVERY = 10.0
"""After how many seconds the state is looked at where there is no watchdog."""


class Manager:
    """The service manager that has started this process.

    The variables are taken out of the environment, so that no child process speaks for the application.

    :param environ: with ``NOTIFY_SOCKET``, and with ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` if there is a watchdog.
    :raises ConfigError: for a ``NOTIFY_SOCKET`` that is neither a path nor an abstract name, or a ``WATCHDOG_USEC``
        that is no number.
    """

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        name = environ.pop("NOTIFY_SOCKET")
        if name[:1] not in ("/", "@") or len(name) < 2:
            raise ConfigError(f"NOTIFY_SOCKET is {name!r}; a path, or @ and an abstract name, was expected")
        self._address = "\0" + name[1:] if name[0] == "@" else name
        self.interval = _interval(environ)
        """After how many seconds the next sign of life is due: half of what the watchdog allows; ``None`` without."""
        if self.interval is not None:
            import faulthandler

            # The watchdog ends the process by SIGABRT: the log says where it hung.
            faulthandler.enable()
        self._status = ""
        self._is_stopping = False

    async def tell(self, *lines: str) -> None:
        """Sends lines such as ``READY=1``, and waits while the manager's queue is full. A manager that is gone is
        logged."""
        message = "\n".join(lines).encode()
        while True:
            try:
                self._send(message)
            except BlockingIOError:
                await anyio.sleep(_PAUSE)
            except OSError as error:
                logger.warning("the service manager cannot be told %s: %s", lines[0], error.strerror or error)
                return
            else:
                return

    def _send(self, message: bytes) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
            one.setblocking(False)
            one.sendto(message, self._address)

    async def watch(self, look: Callable[[], tuple[str, str | None]]) -> None:
        """Tells the manager that the application is ready; then how it is, and that it is alive, until it is cancelled.

        A loop that is blocked sends nothing, nor does one whose bridge is broken.

        :param look: gives the state in words, and what is broken for good, if anything is.
        """
        news = ["READY=1"]
        while True:
            status, broken = look()
            if broken is None:
                news += ["WATCHDOG=1"] if self.interval is not None else []
            else:
                status = f"broken: {broken}"
            if status != self._status and not self._is_stopping:
                self._status = status
                news.append(f"STATUS={status}")
                if broken is not None:
                    logger.error("the service manager gets no sign of life any more: %s", broken)
            if news:
                await self.tell(*news)
            news = []
            await anyio.sleep(self.interval or _REPORT_EVERY)

    async def stopping(self, longest: float) -> None:
        """Tells that the application is about to stop.

        :param longest: how long that may take, in seconds; the manager waits that long, if it would not anyway.
        """
        self._is_stopping = True
        status = "STATUS=stopping: finishing what is under way"
        with anyio.move_on_after(1, shield=True):
            await self.tell("STOPPING=1", status, f"EXTEND_TIMEOUT_USEC={round(longest * 1e6)}")


def _interval(environ: MutableMapping[str, str]) -> float | None:
    text, process = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
    if not text or process not in ("", str(os.getpid())):
        return None
    if not text.isdecimal() or int(text) == 0:
        raise ConfigError(f"WATCHDOG_USEC is {text!r}; microseconds, a number above 0, were expected")
    return int(text) / 2e6
