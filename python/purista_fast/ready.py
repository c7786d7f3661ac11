"""Tells whoever started this process that it is ready: systemd, or the supervisor of workers (``NOTIFY_SOCKET``)."""

from __future__ import annotations

import logging
import os
import socket

__all__ = ("tell_ready",)

logger = logging.getLogger("purista_fast.app")


def tell_ready() -> None:
    """Sends ``READY=1``, if somebody wants to know; see sd_notify(3).

    >>> tell_ready()  # nobody has started this process who asks
    """
    name = os.environ.get("NOTIFY_SOCKET", "")
    if not name:
        return
    address = "\0" + name[1:] if name.startswith("@") else name
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        try:
            out.sendto(b"READY=1", address)
        except OSError as error:
            logger.warning("NOTIFY_SOCKET %s takes nothing: %s", name, error.strerror or error)
