"""One connection to the broker, driven from the event loop; a transport makes and reads its packets."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from struct import Struct

import anyio
import anyio.lowlevel

from ..._core import Connack, PacketReader, Publish, WireError, pack_publish
from .connect import Connect
from .limits import MOST_PROPERTY_BYTES, MOST_USER_PROPERTIES
from .outflow import Outflow
from .reasons import reason as in_words
from .sockets import QuickSocket, make_source
from .transports import Transport

__all__ = ("Link", "LinkLost", "Refused")

_BURST = 64
"""How many packets are handled before others have their turn."""
_NEEDED = {
    "maximum_qos": "QoS 1",
    "wildcard_available": "wildcards in subscriptions",
    "identifiers_available": "subscription identifiers",
    "shared_available": "shared subscriptions",
}
"""What a CONNACK can deny that we cannot do without."""
_PATIENCE = 2.0
"""How long a DISCONNECT may take to leave, in seconds."""
_FAILURE = 0x80
"""Reason codes from here on say that something was not done (MQTT 5, 2.4)."""
_NO_SUCH_QOS = 0x9B
"""The reason code for a quality of service that the broker does not give."""
_QOS_1, _NO_LOCAL, _DO_NOT_SEND_RETAINED = 0x01, 0x04, 0x20
"""Options of a subscription (3.8.3.1)."""
_PING = b"\xc0\x00"
_LAST_MID = 65_535
_pack_puback = Struct("!BBH").pack


class LinkLost(Exception):  # noqa: N818 - an event more than an error
    """The connection ended while something waited for it."""


class Refused(Exception):  # noqa: N818 - as above
    """The broker refused something, with this reason code."""

    def __init__(self, what: str, code: int, reason: str = "") -> None:
        super().__init__(f"{what}: {reason or in_words(code)} (0x{code:02X})")
        self.code = code


class _Reply:
    """What a SUBSCRIBE or an UNSUBSCRIBE waits for."""

    __slots__ = ("codes", "event")

    def __init__(self) -> None:
        self.event = anyio.Event()
        self.codes: bytes | None = None


class Link:
    """One connection.

    It sends its CONNECT when it is made; :meth:`run` must be running for anything to come of it.

    :param on_message: called for each PUBLISH, within :meth:`run`; must not raise.
    """

    def __init__(
        self,
        sock: QuickSocket,
        transport: Transport,
        connect: Connect,
        username: str | None,
        password: str | None,
        on_message: Callable[[Link, Publish], None],
    ) -> None:
        self.is_up = True
        """Whether it can be used."""
        self.lost = anyio.Event()
        self.reason = ""
        """Why it was lost."""
        self.code = 0
        """The reason code of the broker's DISCONNECT, if there was one."""
        self.lost_at = 0.0
        """When it was lost, by the monotonic clock in seconds."""
        self.checked_at = 0.0
        """When it was last seen to that the broker still answers, by the monotonic clock in seconds."""
        self.is_accepted = False
        """Whether the broker has accepted the connection."""
        self.session_present = False
        self.receive_maximum = 65_535
        """How many publishings may be unacknowledged."""
        self.can_retain = True
        """Whether the broker keeps retained messages."""
        self.maximum_packet_size = 268_435_460
        """The largest packet that the broker takes, in bytes."""
        self.on_acknowledged: Callable[[int, int], None] = lambda _mid, _code: None
        """Called with packet id and reason code of each PUBACK."""
        self._socket = sock
        self._on_message = on_message
        self._connack = anyio.Event()
        self._refusal: Refused | None = None
        self._may_read = anyio.Event()
        self._may_read.set()
        self._is_leaving = False
        self._replies: dict[int, _Reply] = {}
        self._published: set[int] = set()
        """The packet ids of what is not acknowledged."""
        self._last_mid = 0
        self._keep_alive_seconds = connect.keep_alive
        self._received_at = self._pinged_at = time.monotonic()
        self._reader = PacketReader(
            max_packet=connect.max_packet_size,
            max_payload=connect.max_payload_size,
            max_properties=MOST_PROPERTY_BYTES,
            max_user_properties=MOST_USER_PROPERTIES,
        )
        self._outflow = Outflow(sock, self._lose)
        self._transport = transport
        try:
            self._outflow.put(transport.connect(connect, username, password))
        except BaseException:
            self._outflow.close()
            raise
        # Last: whatever fails above leaves nobody who watches a socket that will be closed.
        self._source = make_source(sock)

    async def run(self) -> None:
        """Reads, writes and keeps alive until the connection is lost."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._outflow.keep_going)
            tasks.start_soon(self._keep_alive)
            await self._read()
            tasks.cancel_scope.cancel()

    async def accepted(self) -> None:
        """Waits until the broker has accepted the connection.

        :raises Refused: if it does not, or lacks what we need.
        :raises LinkLost: if the connection ends.
        """
        await self._connack.wait()
        if self._refusal is not None:
            raise self._refusal
        if not self.is_up:
            raise LinkLost(self.reason)

    def publish(self, topic: str, payload: bytes, properties: bytes, *, retain: bool = False) -> int:
        """Sends a PUBLISH of QoS 1 and returns its packet id.

        :param properties: packed.
        :raises LinkLost: if the connection has ended.
        """
        if not self.is_up:
            raise LinkLost(self.reason)
        mid = self._next_mid()
        self._outflow.put(pack_publish(topic, mid, properties, payload, retain))
        self._published.add(mid)
        return mid

    def acknowledge(self, mid: int) -> None:
        """Sends the PUBACK of a message that arrived; nothing if the connection has ended."""
        if self.is_up:
            self._outflow.put(_pack_puback(0x40, 2, mid))

    def pause(self) -> None:
        """Reads nothing more until :meth:`resume`: what the broker sends stays in its socket, and then with it.

        mosquitto 2.0 sends far more than our receive maximum.
        """
        if self._may_read.is_set():
            self._may_read = anyio.Event()

    def resume(self) -> None:
        """Reads on."""
        if not self._may_read.is_set():
            self._may_read.set()

    async def subscribe(self, filters: Iterable[tuple[str, int]], *, but_own: bool = False) -> None:
        """Subscribes to filters with their identifiers, QoS 1, and waits until the broker has agreed.

        :param but_own: whether what this connection publishes itself does not come (*No Local*).
        :raises Refused: if it refuses one, or would send its messages with QoS 0, which may be lost.
        :raises LinkLost: if the connection ends.
        """
        options = _QOS_1 | _DO_NOT_SEND_RETAINED | (_NO_LOCAL if but_own else 0)
        sent = []
        for text, identifier in filters:
            sent.append((text, self._subscribe(text, identifier, options)))
        for text, reply in sent:
            await self._await(reply, f"the subscription to {text!r}", least=_QOS_1)

    async def unsubscribe(self, filters: Iterable[str]) -> None:
        """Takes subscriptions away, and waits until the broker has agreed.

        :raises Refused: if it refuses.
        :raises LinkLost: if the connection ends.
        """
        sent = []
        for text in filters:
            mid = self._next_mid()
            sent.append((text, self._expect(mid, self._transport.unsubscribe(mid, text))))
        for text, reply in sent:
            await self._await(reply, f"the end of the subscription to {text!r}")

    async def fetch(self, topic: str) -> None:
        """Has the broker send the retained message of a topic, if there is one; it has arrived when this returns.

        What a SUBSCRIBE brings is sent before the answer to an UNSUBSCRIBE that follows it.

        :raises Refused: if it refuses.
        :raises LinkLost: if the connection ends.
        """
        await self._await(self._subscribe(topic, None, 0), f"the subscription to {topic!r}")
        await self.unsubscribe([topic])

    async def disconnect(self, session_expiry: int) -> None:
        """Says good-bye, so that the broker publishes no will, and closes."""
        if self.is_up:
            self._is_leaving = True
            self._outflow.put(self._transport.disconnect(session_expiry))
            with anyio.move_on_after(_PATIENCE):
                await self._outflow.emptied()
        self.close("closed by this side")

    def close(self, reason: str) -> None:
        """Closes the connection without a word."""
        self._lose(reason)
        self._outflow.close()
        if self._socket.raw.fileno() >= 0:
            anyio.notify_closing(self._socket.raw)
        self._socket.close()

    # --- what comes rarely

    def _take(self, packet: bytes) -> None:
        try:
            event = self._transport.read(packet)
        except WireError as error:
            self._lose(f"what came was not understood: {error}")
            return
        if isinstance(event, Connack):
            self._connected(event)
        elif isinstance(event, tuple):
            mid, codes = event
            reply = self._replies.pop(mid, None)
            if reply is not None:
                reply.codes = codes
                reply.event.set()
        elif event is not None:
            self.code = event
            self._lose(f"the broker closed it: {in_words(event)}")

    def _connected(self, said: Connack) -> None:
        if self._connack.is_set():
            self._lose("the broker answered the CONNECT twice")
            return
        if said.code:  # brokers of MQTT 3 refuse with small ones
            self._refusal = Refused("the connection", said.code)
        lacking = [what for name, what in _NEEDED.items() if not getattr(said, name)]
        if lacking:
            self._refusal = Refused(f"the broker lacks {', '.join(lacking)}", 0x83, "of no use to this bridge")
        self.is_accepted = self._refusal is None
        self.session_present = said.session_present
        self.receive_maximum = said.receive_maximum
        if said.maximum_packet_size is not None:
            self.maximum_packet_size = said.maximum_packet_size
        self.can_retain = said.retain_available
        if said.server_keep_alive:  # one that says 0 wants no signs of life; we want some of it nevertheless
            self._keep_alive_seconds = said.server_keep_alive
        self._connack.set()

    # --- the loop

    async def _read(self) -> None:
        waiting: deque[Publish | tuple[int, int] | bytes | WireError] = deque()
        reason = "the connection broke"
        try:
            while self.is_up:
                if not self._may_read.is_set():
                    await self._may_read.wait()
                elif waiting:
                    await anyio.lowlevel.checkpoint()
                else:
                    data = await self._source.receive()
                    if not data:
                        break
                    self._received_at = time.monotonic()
                    waiting.extend(self._reader.feed(data))
                self._outflow.hold()
                try:
                    self._handle(waiting)
                finally:
                    self._outflow.release()
        except (anyio.ClosedResourceError, OSError) as error:  # broken, or closed while it was waited for
            reason = str(error) or reason
        self.close(reason)

    def _handle(self, packets: deque[Publish | tuple[int, int] | bytes | WireError]) -> None:
        for _ in range(_BURST):
            if self._is_leaving:
                packets.clear()
            if not packets or not self.is_up or not self._may_read.is_set():
                return
            packet = packets.popleft()
            if isinstance(packet, Publish):
                self._on_message(self, packet)
            elif isinstance(packet, tuple):
                mid, code = packet
                if mid in self._published:
                    self._published.discard(mid)
                    self.on_acknowledged(mid, code)
            elif isinstance(packet, bytes):
                self._take(packet)
            else:
                self._lose(f"what came was not understood: {packet}")

    async def _keep_alive(self) -> None:
        await self._connack.wait()
        keep_alive = self._keep_alive_seconds
        while self.is_up:
            await anyio.sleep(min(keep_alive / 4, 5))
            now = self.checked_at = time.monotonic()
            if not self._may_read.is_set():
                self._received_at = now  # the answer to a ping would not be read
                self._outflow.put(_PING)
            elif self._outflow.is_stuck(2 * keep_alive):
                self._lose(f"the broker has read nothing for {2 * keep_alive} s")
            elif self._pinged_at > self._received_at:
                if now - self._pinged_at >= keep_alive:
                    self._lose(f"the broker has not answered for {keep_alive} s")
            elif now - min(self._outflow.sent_at, self._received_at) >= keep_alive:
                self._pinged_at = now
                self._outflow.put(_PING)

    def _next_mid(self) -> int:
        """A packet id that is not in use.

        :raises LinkLost: if there is none.
        """
        if len(self._published) + len(self._replies) >= _LAST_MID:
            self._lose(f"the broker has left {_LAST_MID} packets without an answer, and MQTT has no more ids")
            raise LinkLost(self.reason)
        mid = self._last_mid
        while True:
            mid = mid + 1 if mid < _LAST_MID else 1
            if mid not in self._published and mid not in self._replies:
                self._last_mid = mid
                return mid

    def _lose(self, reason: str) -> None:
        if not self.is_up:
            return
        self.is_up = False
        self.reason = self.reason or reason
        self.lost_at = time.monotonic()
        self.lost.set()
        self._may_read.set()
        self._connack.set()
        for reply in self._replies.values():
            reply.event.set()
        self._replies.clear()
        self._source.close()

    def _subscribe(self, text: str, identifier: int | None, options: int) -> _Reply:
        mid = self._next_mid()
        return self._expect(mid, self._transport.subscribe(mid, text, identifier, options))

    def _expect(self, mid: int, packet: bytes) -> _Reply:
        if not self.is_up:
            raise LinkLost(self.reason)
        self._outflow.put(packet)
        reply = self._replies[mid] = _Reply()
        return reply

    async def _await(self, reply: _Reply, what: str, *, least: int = 0) -> None:
        await reply.event.wait()
        if reply.codes is None:
            raise LinkLost(self.reason)
        for code in reply.codes:
            if code >= _FAILURE or code < least:
                raise Refused(what, _NO_SUCH_QOS if code < least else code)
