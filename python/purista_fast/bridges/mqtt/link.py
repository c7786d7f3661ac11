"""One connection to the broker: paho's protocol, driven from the event loop."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Any, cast

import anyio
import anyio.lowlevel
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from .connect import Connect
from .limits import trim
from .properties import PublishProperties, disconnect_properties, subscribe_properties
from .sockets import BufferedSocket

__all__ = ("Link", "LinkLost", "Refused")

_BURST = 64
"""How many times a reader reads before others have their turn."""
_NEEDED = {
    "MaximumQoS": "QoS 1",
    "WildcardSubscriptionAvailable": "wildcards in subscriptions",
    "SubscriptionIdentifierAvailable": "subscription identifiers",
    "SharedSubscriptionAvailable": "shared subscriptions",
}
"""What a CONNACK can deny that we cannot do without."""
_PATIENCE = 2.0
"""How long a DISCONNECT may take to leave, in seconds."""


class LinkLost(Exception):  # noqa: N818 - an event more than an error
    """The connection ended while something waited for it."""


class Refused(Exception):  # noqa: N818 - as above
    """The broker refused something, with this reason code."""

    def __init__(self, what: str, code: int, reason: str) -> None:
        super().__init__(f"{what}: {reason} (0x{code:02X})")
        self.code = code


class _Client(paho.Client):
    """paho on a socket that is open already."""

    ready: BufferedSocket
    max_payload: int
    payload: bytes | None = None
    """That of the PUBLISH that is being handled."""

    def _handle_publish(self) -> MQTTErrorCode:
        # paho copies all that follows for each property, the payload included, and makes objects of ten thousand.
        found: dict[str, Any] = self._in_packet  # type: ignore[assignment] # a dictionary of several types
        # paho keeps QoS 2, which nobody has asked for, for later.
        if found["command"] & 0x06 != 0x04:
            with contextlib.suppress(IndexError):  # paho refuses it
                found["packet"], self.payload = trim(found["command"], found["packet"], self.max_payload)
        try:
            return super()._handle_publish()
        finally:
            self.payload = None

    def _create_socket(self) -> Any:
        return self.ready

    def beat(self) -> None:
        """Tells the broker that we live, and expects no answer."""
        self._send_pingreq()
        self._ping_t = 0.0


class _Reply:
    """What a SUBSCRIBE or an UNSUBSCRIBE waits for."""

    __slots__ = ("codes", "event")

    def __init__(self) -> None:
        self.event = anyio.Event()
        self.codes: list[ReasonCode] | None = None


class Link:
    """One connection, with a paho client of its own.

    It sends its CONNECT when it is made; :meth:`run` must be running for anything to come of it.

    :param on_message: called for each PUBLISH, within :meth:`run`; must not raise.
    """

    def __init__(
        self,
        sock: BufferedSocket,
        connect: Connect,
        username: str | None,
        password: str | None,
        on_message: Callable[[Link, paho.MQTTMessage], None],
    ) -> None:
        self.lost = anyio.Event()
        self.reason = ""
        """Why it was lost."""
        self.code = 0
        """The reason code of the broker's DISCONNECT, if there was one."""
        self.lost_at = 0.0
        """When it was lost, by the monotonic clock in seconds."""
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
        self._stalled = anyio.Event()
        self._may_read = anyio.Event()
        self._may_read.set()
        self._replies: dict[int, _Reply] = {}
        self._client = client = _Client(
            CallbackAPIVersion.VERSION2,
            connect.client_id,
            protocol=paho.MQTTv5,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        client.ready = sock
        client.max_payload = connect.max_payload_size
        # The send window is ours: paho must hold nothing back.
        client.max_inflight_messages_set(0)
        client.username_pw_set(username, password)
        if connect.will is not None:
            will = connect.will
            client.will_set(will.topic, will.payload, qos=1, properties=will.properties)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_message = self._arrived
        client.on_publish = lambda _client, _data, mid, code, _properties: self.on_acknowledged(mid, code.value)
        client.on_subscribe = self._replied
        client.on_unsubscribe = self._replied
        client.on_socket_close = lambda _client, _data, _socket: anyio.notify_closing(sock.raw)
        # Host and port are for paho's checks only.
        client.connect(
            "broker",
            1,
            keepalive=connect.keep_alive,
            clean_start=connect.clean_start,
            properties=connect.properties,
        )
        self._note_stall()

    @property
    def is_up(self) -> bool:
        """Whether it can be used."""
        return not self.lost.is_set()

    async def run(self) -> None:
        """Reads, writes and keeps alive until the connection is lost."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._write)
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

    def publish(self, topic: str, payload: bytes, properties: PublishProperties | None, *, retain: bool = False) -> int:
        """Sends a PUBLISH of QoS 1 and returns its packet id.

        :raises LinkLost: if the connection has ended.
        """
        while True:
            info = self._client.publish(topic, payload, qos=1, retain=retain, properties=cast(Properties, properties))
            # The packet ids went once round, and this one is in use still.
            if info.rc != MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
                break
        if not self.is_up or info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise LinkLost(self.reason)
        self._note_stall()
        return info.mid

    def acknowledge(self, mid: int) -> None:
        """Sends the PUBACK of a message that arrived; nothing if the connection has ended."""
        if self.is_up:
            self._client.ack(mid, 1)
            self._note_stall()

    def pause(self) -> None:
        """Reads nothing more until :meth:`resume`: what the broker sends stays in its socket, and then with it.

        mosquitto 2.0 sends far more than our receive maximum.
        """
        if self._may_read.is_set():
            self._may_read = anyio.Event()

    def resume(self) -> None:
        """Reads on."""
        self._may_read.set()

    async def subscribe(self, filters: Iterable[tuple[str, int]]) -> None:
        """Subscribes to filters with their identifiers, QoS 1, and waits until the broker has agreed.

        :raises Refused: if it refuses one.
        :raises LinkLost: if the connection ends.
        """
        options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
        sent = []
        for text, identifier in filters:
            _, mid = self._client.subscribe([(text, options)], properties=subscribe_properties(identifier))
            sent.append((text, self._expect(mid)))
        self._note_stall()
        for text, reply in sent:
            await self._await(reply, f"the subscription to {text!r}")

    async def unsubscribe(self, filters: Iterable[str]) -> None:
        """Takes subscriptions away, and waits until the broker has agreed.

        :raises Refused: if it refuses.
        :raises LinkLost: if the connection ends.
        """
        sent = []
        for text in filters:
            _, mid = self._client.unsubscribe(text)
            sent.append((text, self._expect(mid)))
        self._note_stall()
        for text, reply in sent:
            await self._await(reply, f"the end of the subscription to {text!r}")

    async def fetch(self, topic: str) -> None:
        """Has the broker send the retained message of a topic, if there is one; it has arrived when this returns.

        What a SUBSCRIBE brings is sent before the answer to an UNSUBSCRIBE that follows it.

        :raises Refused: if it refuses.
        :raises LinkLost: if the connection ends.
        """
        options = SubscribeOptions(qos=0, retainHandling=SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE)
        _, mid = self._client.subscribe([(topic, options)])
        reply = self._expect(mid)
        self._note_stall()
        await self._await(reply, f"the subscription to {topic!r}")
        await self.unsubscribe([topic])

    async def disconnect(self, session_expiry: int) -> None:
        """Says good-bye, so that the broker publishes no will, and closes."""
        if self.is_up:
            self._client.disconnect(properties=disconnect_properties(session_expiry))
            self._note_stall()
            with anyio.move_on_after(_PATIENCE):
                await self.lost.wait()
        self.close("closed by this side")

    def close(self, reason: str) -> None:
        """Closes the connection without a word."""
        self._lose(reason)
        with contextlib.suppress(OSError):  # what is closed already cannot be told that it will be
            if self._socket.fileno() >= 0:
                anyio.notify_closing(self._socket.raw)
        self._socket.close()
        # paho would close it once more when it is collected, perhaps after the loop has ended.
        self._client.on_socket_close = None

    # --- paho's callbacks

    def _connected(self, _client: object, _data: object, flags: Any, code: ReasonCode, properties: object) -> None:
        if code.is_failure:
            self._refusal = Refused("the connection", code.value, str(code))
        lacking = [what for name, what in _NEEDED.items() if getattr(properties, name, 1) == 0]
        if lacking:
            self._refusal = Refused(f"the broker lacks {', '.join(lacking)}", 0x83, "of no use to this bridge")
        self.is_accepted = self._refusal is None
        self.session_present = flags.session_present
        self.receive_maximum = getattr(properties, "ReceiveMaximum", self.receive_maximum)
        self.maximum_packet_size = getattr(properties, "MaximumPacketSize", self.maximum_packet_size)
        self.can_retain = getattr(properties, "RetainAvailable", 1) != 0
        self._connack.set()

    def _disconnected(self, _client: object, _data: object, flags: Any, code: ReasonCode, _properties: object) -> None:
        by_broker = flags.is_disconnect_packet_from_server
        self.code = code.value if by_broker else 0
        self._lose(f"the broker closed it: {code}" if by_broker else "the connection broke")

    def _arrived(self, _client: object, _data: object, message: paho.MQTTMessage) -> None:
        if self._client.payload is not None:
            message.payload = self._client.payload
        self._on_message(self, message)

    def _replied(self, _client: object, _data: object, mid: int, codes: list[ReasonCode], _properties: object) -> None:
        reply = self._replies.pop(mid, None)
        if reply is not None:
            reply.codes = codes
            reply.event.set()

    # --- the loop

    async def _read(self) -> None:
        client, sock = self._client, self._socket
        with contextlib.suppress(anyio.ClosedResourceError, OSError):  # closed while it was waited for
            while self.is_up:
                if not self._may_read.is_set():
                    await self._may_read.wait()
                elif sock.pending():
                    await anyio.lowlevel.checkpoint()
                else:
                    await anyio.wait_readable(sock.raw)
                if self.lost.is_set():
                    break
                for _ in range(_BURST):
                    client.loop_read()
                    if self.lost.is_set() or not sock.pending() or not self._may_read.is_set():
                        break
                self._flush()
        self.close("the connection broke")

    async def _write(self) -> None:
        with contextlib.suppress(anyio.ClosedResourceError, OSError):
            while True:
                await self._stalled.wait()
                self._stalled = anyio.Event()
                while self.is_up and self._client.want_write():
                    await anyio.wait_writable(self._socket.raw)
                    self._client.loop_write()

    async def _keep_alive(self) -> None:
        await self._connack.wait()
        while self.is_up:
            await anyio.sleep(min(self._client.keepalive / 4, 5))
            if self._may_read.is_set():
                self._client.loop_misc()
            else:
                self._client.beat()  # the answer to a ping would not be read
            self._note_stall()

    def _flush(self) -> None:
        """Sends what callbacks have queued."""
        if self.is_up and self._client.want_write():
            self._client.loop_write()
            self._note_stall()

    def _note_stall(self) -> None:
        if self._client.want_write():
            self._stalled.set()

    def _lose(self, reason: str) -> None:
        if self.lost.is_set():
            return
        self.reason = self.reason or reason
        self.lost_at = time.monotonic()
        self.lost.set()
        self._may_read.set()
        self._connack.set()
        for reply in self._replies.values():
            reply.event.set()
        self._replies.clear()

    def _expect(self, mid: int | None) -> _Reply:
        if mid is None or not self.is_up:
            raise LinkLost(self.reason)
        reply = self._replies[mid] = _Reply()
        return reply

    async def _await(self, reply: _Reply, what: str) -> None:
        await reply.event.wait()
        if reply.codes is None:
            raise LinkLost(self.reason)
        for code in reply.codes:
            if code.is_failure:
                raise Refused(what, code.value, str(code))
