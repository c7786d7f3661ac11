"""Events that the broker has acknowledged and may not have saved yet: kept until it has had the time to."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from .link import Link
from .marker import Marker
from .publisher import Publisher

__all__ = ("Holding",)

_PAUSE = 1.0
"""How long there is between two markers at least, in seconds."""


class Holding:
    """Keeps the numbers of acknowledged rows of ``durability="disk"``, and lets them go.

    One goes once the broker has acknowledged a marker that was published ``hold`` seconds after it: then the broker has
    been up for so long, and has saved it.

    :param hold: in seconds.
    :param release: takes rows that need not be kept any more.
    :param reach: the number up to which every row has been acknowledged.
    """

    def __init__(
        self,
        publisher: Publisher,
        prefix: str,
        instance_id: str,
        hold: float,
        release: Callable[[list[int]], None],
        reach: Callable[[], int],
    ) -> None:
        self.marker = Marker(publisher, prefix, instance_id, self._marked)
        self.saved = 0
        """Up to which number the broker knew our events when the connection began."""
        self._publisher = publisher
        self._hold = hold
        self._release = release
        self._reach = reach
        self._held: OrderedDict[int, float] = OrderedDict()
        self._told, self._told_at = 0, float("-inf")
        """The number of the last marker, and when it was published."""

    def __len__(self) -> int:
        return len(self._held)

    def add(self, seq: int) -> None:
        """The broker has acknowledged a row."""
        self._held[seq] = time.monotonic()

    def discard(self, seq: int) -> bool:
        """Forgets a row that is deleted for another reason; whether it was held."""
        return self._held.pop(seq, None) is not None

    async def lost(self, link: Link, *, may_hold: bool) -> list[int]:
        """The rows that the broker at the other end does not know any more, in order.

        :param may_hold: whether there may be rows that an earlier process held.
        :raises LinkLost: if the connection ends.
        """
        self.marker.reset()
        self.saved = 0
        self._told, self._told_at = 0, float("-inf")
        if not self._held and not may_hold:
            return []
        self.saved = await self.marker.read(link)
        lost = sorted(seq for seq in self._held if seq > self.saved)
        for seq in lost:
            del self._held[seq]
        return lost

    def mark(self, *, now: bool = False) -> None:
        """Publishes the marker while there is something to hold; to be called from time to time.

        :param now: whether that is the last time: what the broker hears now, it need not get again.
        """
        if not self._held or not self._publisher.is_up:
            return
        reach, moment = self._reach(), time.monotonic()
        # Each one is a message that the broker keeps: no more of them than the rows to let go are worth.
        pause = _PAUSE if reach > self._told else max(_PAUSE, self._hold / 10)
        if now or moment - self._told_at >= min(pause, self._hold / 4):
            self._told, self._told_at = reach, moment
            self.marker.publish(reach)

    def _marked(self, reach: int, at: float) -> None:
        end = at - self._hold
        # Rows are acknowledged nearly in order of their numbers; one that came late is looked at with the next marker.
        free: list[int] = []
        for seq, since in self._held.items():
            if since > end:
                break
            if seq <= reach:
                free.append(seq)
        for seq in free:
            del self._held[seq]
        if free:
            self._release(free)
