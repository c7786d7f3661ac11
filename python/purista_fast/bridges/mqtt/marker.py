"""How far the broker remembers: a retained message of ours with the number of the last event that it had acknowledged.

A broker that restarts goes on from what it saved last, all of one moment. If its copy of the marker says 70, then
whatever was acknowledged before that marker was published is in what it saved as well; what came later may be lost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import msgspec

from .link import Link, Refused
from .publisher import Outgoing, Publisher

__all__ = ("Marker",)

logger = logging.getLogger("purista_fast.bridge.mqtt")


class _Content(msgspec.Struct):
    """The marker's payload."""

    store: str
    seq: int


class _Note(Outgoing):
    """A retained message that is none of PURISTA's."""

    __slots__ = ("at", "seq")
    is_note = True

    def __init__(self, topic: str, seq: int, payload: bytes, *, retain: bool) -> None:
        self.topic, self.payload, self.seq = topic, payload, seq
        self.retain = retain
        self.again = self.gone = self.sent = self.is_fresh = False
        self.code, self.size = -1, 0
        self.room = self.settled = self.on_settled = None
        self.at = time.monotonic()

    def properties(self) -> bytes:
        """An empty set."""
        return b"\0"


class Marker:
    """Reads and publishes the marker of one instance.

    :param on_marked: called once the broker has answered, with the number, and when it was published (monotonic).
    """

    def __init__(
        self, publisher: Publisher, prefix: str, instance_id: str, on_marked: Callable[[int, float], None]
    ) -> None:
        self.topic = f"purista_fast/{prefix}/marker/{instance_id}"
        self.store_id = ""
        """The file that the numbers are of; set before anything else."""
        self._publisher = publisher
        self._on_marked = on_marked
        self._retain = True
        self._read: _Content | None = None
        self._under_way: _Note | None = None

    def reset(self) -> None:
        """A new connection: what was on its way to the last one is not true of the broker at the end of this one."""
        note, self._under_way = self._under_way, None
        if note is not None:
            self._publisher.forget(note)

    async def read(self, link: Link) -> int:
        """The number that the broker knows; 0 if it knows none of this file.

        :raises LinkLost: if the connection ends.
        """
        self._read = None
        self._retain = link.can_retain
        if not self._retain:
            return 0
        try:
            await link.fetch(self.topic)
        except Refused as error:
            logger.warning(
                "the broker refuses %s, so after each reconnect all events are sent again that it may not have saved; "
                "allow this instance to read and write %s",
                error,
                self.topic,
            )
            self._retain = False
        found: _Content | None = self._read
        return found.seq if found is not None and found.store == self.store_id else 0

    def arrived(self, payload: bytes) -> None:
        """The broker has sent its copy."""
        try:
            self._read = msgspec.json.decode(payload, type=_Content)
        except msgspec.MsgspecError as error:
            logger.warning("the message on %s is no marker of ours: %s", self.topic, error)

    def publish(self, seq: int) -> None:
        """Tells the broker a number, unless it is about to learn one."""
        if self._under_way is not None:
            return
        payload = msgspec.json.encode(_Content(self.store_id, seq))
        note = self._under_way = _Note(self.topic, seq, payload, retain=self._retain)
        note.on_settled = self._settled
        self._publisher.post(note)

    def _settled(self, entry: Outgoing) -> None:
        note, self._under_way = self._under_way, None
        if note is not entry or note is None:
            return
        if note.code >= 0x80 and self._retain:
            logger.warning("the broker refuses the marker: %s", note.error())
            self._retain = False
        # Refused or not, the broker was there when it answered, and had been since its last acknowledgements.
        self._on_marked(note.seq, note.at)
