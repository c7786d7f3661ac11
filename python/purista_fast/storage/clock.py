"""Time that a device can trust: how long it has been powered, and the wall clock only where that is known to be right.

A device without a clock battery starts in 1970, or where it was switched off, and jumps by years once it finds a time
server. Ages are counted in powered time, which goes on over restarts; wall time is added only from readings of a clock
that the kernel calls synchronised.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from .._core import clock_state
from ..policy import Trust

__all__ = ("NEVER", "Moment", "PoweredClock")

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TIME_ERROR = 5
"""What the kernel answers while the clock is not synchronised."""
_ASK_AGAIN = 30.0
"""After how many seconds the kernel is asked again."""


class Moment(NamedTuple):
    """When something happened."""

    powered: float
    """Seconds of powered time of this device's storage."""
    wall: int | None
    """Milliseconds since 1970, if the clock was known to be right."""


NEVER = Moment(0.0, None)


class PoweredClock:
    """Counts powered time over restarts.

    :param trust: whether the wall clock may be used.
    """

    def __init__(self, trust: Trust = "auto") -> None:
        self._trust = trust
        self._base = -_since_boot()
        self._asked = float("-inf")
        self._is_right = False

    def resume(self, powered: float, since_boot: float, boot_id: str) -> None:
        """Goes on where an earlier process stopped.

        :param powered: what :meth:`state` said then, as are the others.
        """
        now = _since_boot()
        # Of another boot only the time since then is known to be powered.
        same = bool(boot_id) and boot_id == _boot_id() and now >= since_boot
        self._base = powered - since_boot if same else powered

    def state(self) -> tuple[float, float, str]:
        """What :meth:`resume` needs: powered seconds, seconds since boot, and which boot."""
        now = _since_boot()
        return self._base + now, now, _boot_id()

    def now(self) -> Moment:
        """This moment."""
        return Moment(self._base + _since_boot(), int(time.time() * 1000) if self.is_right() else None)

    def age(self, then: Moment, now: Moment | None = None) -> float:
        """How long ago a moment was, in seconds; never below 0."""
        now = now or self.now()
        age = now.powered - then.powered
        if now.wall is not None and then.wall is not None:
            age = max(age, (now.wall - then.wall) / 1000)
        return max(age, 0.0)

    def is_right(self) -> bool:
        """Whether the wall clock is known to be right."""
        if self._trust != "auto":
            return self._trust == "always"
        now = _since_boot()
        if now - self._asked > _ASK_AGAIN:
            self._asked, self._is_right = now, _is_synchronised()
        return self._is_right


def _since_boot() -> float:
    """Seconds since boot, the time in suspend included where the system tells."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""  # not Linux; then each process counts as a boot


def _is_synchronised() -> bool:
    """What the kernel says of its clock; time daemons tell it."""
    return clock_state() not in (-1, _TIME_ERROR)
