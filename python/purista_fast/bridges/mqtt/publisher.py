"""The send window: what is under way to the broker, and what waits for its turn."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import anyio

from ..._core import Message, WireError, encode, pack_properties
from ...errors import StatusCode, UnhandledError
from .limits import MOST_PROPERTY_BYTES
from .link import Link, LinkLost

__all__ = ("BUSY", "NOBODY", "Outgoing", "Publisher")

_WINDOW = 1000
"""How many messages are under way at most, whatever the broker allows."""
_FIRST_DELAY, _LONGEST_DELAY = 0.1, 2.0
NOBODY = 0x10
"""The reason code of a PUBACK for which there was no subscriber."""
_TOO_LARGE = 0x95
BUSY = {
    0x80: (StatusCode.SERVICE_UNAVAILABLE, "the broker could not take it"),
    0x97: (StatusCode.INSUFFICIENT_STORAGE, "a quota of the broker is exceeded"),
}
"""Reason codes of a PUBACK that may be different the next time."""
_FINAL = {
    0x87: (StatusCode.FORBIDDEN, "not authorized"),
    0x90: (StatusCode.BAD_REQUEST, "the topic is invalid"),
    0x95: (StatusCode.PAYLOAD_TOO_LARGE, "too large for the broker"),
    0x99: (StatusCode.BAD_REQUEST, "the payload format is invalid"),
}


class Outgoing:
    """A message on its way.

    :param again: whether it is sent once more when the connection broke before it was acknowledged.
    :param payload: the message as it goes over the wire, if that is known.
    :raises UnhandledError: 400 if the message cannot be expressed in MQTT.
    """

    __slots__ = (
        "_expiry",
        "_properties",
        "again",
        "code",
        "expiry",
        "gone",
        "is_fresh",
        "message",
        "on_settled",
        "payload",
        "retain",
        "room",
        "sent",
        "settled",
        "size",
        "topic",
    )
    is_note = False
    """Whether it is no message of PURISTA's, for which subscribers could be missing."""

    def __init__(
        self, message: Message, prefix: str, expiry: Callable[[], int], *, again: bool, payload: bytes | None = None
    ) -> None:
        self.message = message
        self.expiry = expiry
        self.again = again
        self.retain = False
        self._properties = b""
        self._expiry = 0
        self.is_fresh = False
        """Whether its properties were packed just now."""
        self.size = 0
        """Of its packet, in bytes, once that has been looked at."""
        self.gone = False
        """Nobody waits for it any more: it is not sent if it was not yet."""
        self.sent = False
        self.code = -1
        """The reason code of its PUBACK."""
        self.room: anyio.Event | None = None
        """Set when it enters the window; for those who wait for that."""
        self.settled: anyio.Event | None = None
        """Set with its PUBACK; for those who wait for that."""
        self.on_settled: Callable[[Outgoing], None] | None = None
        try:
            self.topic = message.topic(prefix)
            self.payload = encode(message) if payload is None else payload
        except WireError as error:
            raise UnhandledError(StatusCode.BAD_REQUEST, f"the message cannot travel by MQTT: {error}") from error

    def properties(self) -> bytes:
        """Its properties as of now, packed.

        :raises UnhandledError: 400 for a text that MQTT does not carry.
        """
        return self._properties if self.is_fresh else self.pack(self.expiry())

    def pack(self, expiry: int) -> bytes:
        """Its properties if they were packed now.

        :param expiry: in seconds.
        :raises UnhandledError: as :meth:`properties`.
        """
        if self._properties and self._expiry == expiry:
            return self._properties
        try:
            self._properties, self._expiry = pack_properties(self.message, expiry), expiry
            self.is_fresh = True
            return self._properties
        except WireError as error:
            raise UnhandledError(StatusCode.BAD_REQUEST, f"the message cannot travel by MQTT: {error}") from error

    def error(self) -> UnhandledError | None:
        """What the broker's answer means to whoever sent it."""
        if self.code < 0x80:
            return None
        known = _FINAL.get(self.code) or BUSY.get(self.code) or (StatusCode.BAD_GATEWAY, "refused by the broker")
        return UnhandledError(known[0], f"{known[1]} (0x{self.code:02X}): a message to {self.topic}")


class Publisher:
    """Publishes within a window, in order, and owns every retransmission.

    :param max_packet_size: the largest packet sent, in bytes.
    :param max_payload_size: the largest message sent, in bytes; ``None`` for what the packet holds.
    :param where: the broker, for error messages.
    """

    def __init__(self, *, max_packet_size: int, where: str, max_payload_size: int | None = None) -> None:
        self.published = 0
        self.no_matching_subscribers = 0
        self.refused = 0
        self._largest = self._largest_now = max_packet_size
        self._largest_payload = max_payload_size
        self._where = where
        self._limit = _WINDOW
        self._link: Link | None = None
        self._waiting: OrderedDict[Outgoing, None] = OrderedDict()
        """Without a place in the window."""
        self._unsent: OrderedDict[Outgoing, None] = OrderedDict()
        """In the window, to be sent as soon as there is a connection."""
        self._in_flight: dict[int, Outgoing] = {}
        """By packet id, in order."""

    @property
    def in_flight(self) -> int:
        """How many messages are sent and not acknowledged."""
        return len(self._in_flight)

    @property
    def waiting(self) -> int:
        """How many messages are not sent yet."""
        return len(self._unsent) + len(self._waiting)

    @property
    def window(self) -> int:
        """How many messages may be sent and not acknowledged."""
        return self._limit

    @property
    def is_up(self) -> bool:
        """Whether there is a connection to publish on."""
        return self._link is not None and self._link.is_up

    def is_away(self, seconds: float) -> bool:
        """Whether there has been no connection for so long."""
        link = self._link
        return link is None or (not link.is_up and time.monotonic() - link.lost_at >= seconds)

    def up(self, link: Link) -> None:
        """Goes on with this connection; what the last one left unacknowledged is sent again, in order."""
        left = [entry for entry in self._in_flight.values() if not entry.gone]
        self._in_flight.clear()
        # A command runs at most once: what was sent counts as sent.
        for entry in reversed(left):
            if entry.again:
                self._unsent[entry] = None
                self._unsent.move_to_end(entry, last=False)
        self._limit = max(1, min(_WINDOW, link.receive_maximum))
        self._largest_now = min(self._largest, link.maximum_packet_size)
        self._link = link
        link.on_acknowledged = self._acknowledged
        self._fill()

    def check_size(self, entry: Outgoing) -> None:
        """Refuses what is too large, before it costs the connection.

        :raises UnhandledError: 413, or 431 for ids and names.
        """
        if self._largest_payload is not None and len(entry.payload) > self._largest_payload:
            raise UnhandledError(
                StatusCode.PAYLOAD_TOO_LARGE,
                f"the message has {len(entry.payload)} bytes, {self._largest_payload} are allowed "
                f"(bridge.max_payload_size): a message to {entry.topic}",
            )
        if not entry.size:
            properties = len(entry.properties())
            if properties > MOST_PROPERTY_BYTES:
                raise UnhandledError(
                    StatusCode.REQUEST_HEADER_FIELDS_TOO_LARGE,
                    f"ids, names and traces have {properties} bytes as properties, {MOST_PROPERTY_BYTES} are "
                    f"allowed: a message to {entry.topic:.300}",
                )
            # The fixed header, the packet id and two length fields have 9 bytes together.
            entry.size = len(entry.payload) + len(entry.topic.encode()) + properties + 9
        limit, size = self._largest_now, entry.size
        if size > limit:
            raise UnhandledError(
                StatusCode.PAYLOAD_TOO_LARGE,
                f"the message has {size} bytes as an MQTT packet, {limit} are allowed (bridge.max_packet_size, or the "
                f"broker's limit): a message to {entry.topic}",
            )

    def post(self, entry: Outgoing) -> None:
        """Sends a message as soon as that is possible; returns at once.

        :raises UnhandledError: 400 or 413 if it cannot be sent at all.
        """
        self.check_size(entry)
        if self._waiting or self._unsent or self._link is None or not self._send(self._link, entry):
            self._waiting[entry] = None
            self._fill()
        entry.is_fresh = False  # one that has to wait has a shorter expiry then

    def is_waiting(self, entry: Outgoing) -> bool:
        """Whether a message has no place in the window yet."""
        return entry in self._waiting

    async def admitted(self, entry: Outgoing, timeout: float | None) -> None:
        """Waits until a posted message has its place in the window.

        :param timeout: in seconds.
        :raises UnhandledError: 503 once that is over; the message is not sent then.
        """
        if entry not in self._waiting:
            return
        entry.room = anyio.Event()
        try:
            with anyio.fail_after(timeout):
                await entry.room.wait()
        except TimeoutError:
            raise UnhandledError(
                StatusCode.SERVICE_UNAVAILABLE,
                f"no room in the send window to {self._where} for {timeout} s ({len(self._in_flight)} messages "
                f"unacknowledged, {self.waiting} waiting)",
            ) from None
        finally:
            if not entry.room.is_set():
                self.forget(entry)

    async def acknowledged(self, entry: Outgoing, timeout: float) -> None:
        """Waits until the broker has taken a posted message, and tries again when it is busy.

        :param timeout: in seconds.
        :raises UnhandledError: 503 or 504 once that is over, or what the broker refuses it for.
        """
        delay = _FIRST_DELAY
        try:
            with anyio.fail_after(timeout):
                while True:
                    entry.settled = anyio.Event()
                    if entry.code < 0:
                        await entry.settled.wait()
                    if entry.code not in BUSY:
                        break
                    await anyio.sleep(delay)
                    delay = min(delay * 2, _LONGEST_DELAY)
                    entry.code, entry.sent = -1, False
                    self.post(entry)
        except TimeoutError:
            raise self._overdue(entry, timeout) from None
        finally:
            if entry.code < 0:
                self.forget(entry)
        error = entry.error()
        if error is not None:
            raise error

    def forget(self, *entries: Outgoing) -> None:
        """Nobody waits for these messages any more: they are not sent if they were not, and not again if they were."""
        for entry in entries:
            entry.gone = True
            if not entry.sent:
                self._waiting.pop(entry, None)
                self._unsent.pop(entry, None)
        self._fill()

    def statistics(self) -> dict[str, Any]:
        """Counters and depths."""
        return {
            "published": self.published,
            "no_matching_subscribers": self.no_matching_subscribers,
            "refused_by_broker": self.refused,
            "in_flight": len(self._in_flight),
            "waiting_to_send": self.waiting,
        }

    def _overdue(self, entry: Outgoing, timeout: float) -> UnhandledError:
        busy = entry.error()
        if busy is not None:
            return busy
        if not entry.sent:
            return UnhandledError(
                StatusCode.SERVICE_UNAVAILABLE, f"not sent within {timeout} s: no connection to {self._where}"
            )
        return UnhandledError(
            StatusCode.GATEWAY_TIMEOUT,
            f"not acknowledged by {self._where} within {timeout} s: whether the message arrived is unknown",
        )

    def _fill(self) -> None:
        """Moves on what there is room for."""
        waiting, unsent, in_flight = self._waiting, self._unsent, self._in_flight
        while waiting and len(in_flight) + len(unsent) < self._limit:
            entry, _ = waiting.popitem(last=False)
            unsent[entry] = None
            if entry.room is not None:
                entry.room.set()
        link = self._link
        if link is None:
            return
        while unsent and link.is_up and len(in_flight) < self._limit:
            entry, _ = unsent.popitem(last=False)
            if entry.size > self._largest_now:
                # It was meant for a broker that took more; this one would close the connection.
                self._settle(entry, _TOO_LARGE)
            elif not self._send(link, entry):
                unsent[entry] = None
                unsent.move_to_end(entry, last=False)
                return

    def _send(self, link: Link, entry: Outgoing) -> bool:
        """Sends a message, if there is room in the window, and a connection."""
        if len(self._in_flight) >= self._limit:
            return False
        try:
            mid = link.publish(entry.topic, entry.payload, entry.properties(), retain=entry.retain)
        except LinkLost:
            return False
        entry.sent, entry.is_fresh = True, False
        self._in_flight[mid] = entry
        return True

    def _acknowledged(self, mid: int, code: int) -> None:
        entry = self._in_flight.pop(mid, None)
        if entry is not None:
            self._settle(entry, code)
        if self._waiting or self._unsent:
            self._fill()

    def _settle(self, entry: Outgoing, code: int) -> None:
        entry.code = code
        if code < 0x80:
            self.published += 1
            self.no_matching_subscribers += code == NOBODY and not entry.is_note
        else:
            self.refused += 1
        if entry.settled is not None:
            entry.settled.set()
        if entry.on_settled is not None:
            entry.on_settled(entry)
