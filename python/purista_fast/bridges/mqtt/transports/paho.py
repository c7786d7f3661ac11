"""paho's codec: paho believes to have a connection, of which it sees one packet at a time.

What there are many of, PUBLISH and PUBACK, never gets there: paho makes a dozen objects of each and takes as many
locks.
"""

from __future__ import annotations

import struct
from typing import Any

from ...._core import Connack, WireError
from ..connect import Connect, Will
from .proxies import import_paho

import_paho()  # before anybody else does

import paho.mqtt.client as paho  # noqa: E402 - see above
from paho.mqtt.enums import CallbackAPIVersion  # noqa: E402 - as above
from paho.mqtt.packettypes import PacketTypes  # noqa: E402 - as above
from paho.mqtt.properties import Properties  # noqa: E402 - as above
from paho.mqtt.reasoncodes import ReasonCode  # noqa: E402 - as above
from paho.mqtt.subscribeoptions import SubscribeOptions  # noqa: E402 - as above

__all__ = ("Paho",)

_SENT = frozenset(b"\x20\x90\xb0\xd0\xe0")
"""How packets begin that a client is sent. paho answers others as well, and the answers would go out with ours."""


class Paho:
    """See :class:`Transport`."""

    def __init__(self) -> None:
        self._client: _Client | None = None

    def connect(self, connect: Connect, username: str | None, password: str | None) -> bytes:
        """See :class:`Transport`."""
        self._client = client = _Client(connect.client_id)
        client.username_pw_set(username, password)
        if connect.will is not None:
            will = connect.will
            client.will_set(will.topic, will.payload, qos=1, properties=_will_properties(will))
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = connect.session_expiry
        properties.ReceiveMaximum = connect.receive_maximum
        properties.MaximumPacketSize = connect.max_packet_size
        # Host and port are for paho's checks only.
        try:
            client.connect(
                "broker", 1, keepalive=connect.keep_alive, clean_start=connect.clean_start, properties=properties
            )
        except struct.error:
            raise WireError("a name, the password or the will has more than 65535 bytes") from None
        return client.sent()

    def subscribe(self, mid: int, text: str, identifier: int | None, options: int) -> bytes:
        """See :class:`Transport`."""
        client = self._connected(mid)
        wanted = SubscribeOptions()
        wanted.unpack(bytes((options,)))
        properties = None
        if identifier is not None:
            properties = Properties(PacketTypes.SUBSCRIBE)
            properties.SubscriptionIdentifier = identifier
        client.subscribe([(text, wanted)], properties=properties)
        return client.sent()

    def unsubscribe(self, mid: int, text: str) -> bytes:
        """See :class:`Transport`."""
        client = self._connected(mid)
        client.unsubscribe(text)
        return client.sent()

    def disconnect(self, session_expiry: int) -> bytes:
        """See :class:`Transport`."""
        properties = Properties(PacketTypes.DISCONNECT)
        properties.SessionExpiryInterval = session_expiry
        client = self._connected()
        client.disconnect(properties=properties)
        return client.sent()

    def read(self, packet: bytes) -> Connack | tuple[int, bytes] | int | None:
        """See :class:`Transport`."""
        if packet[0] not in _SENT:
            raise WireError(f"a packet that begins with 0x{packet[0]:02X}, which a client is not sent")
        return self._connected().take(packet)

    def _connected(self, mid: int = 0) -> _Client:
        assert self._client is not None, "the CONNECT comes first"
        self._client.next_mid = mid
        return self._client


class _Client(paho.Client):
    """paho on a connection that is open already.

    Of paho's inner life two methods are replaced, which ``tests/broker/test_transport_paho.py`` looks after:
    ``_create_socket`` gives the socket, ``_mid_generate`` the packet ids, which PUBLISH and SUBSCRIBE have in common.
    """

    def __init__(self, client_id: str) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5, reconnect_on_failure=False)
        self.next_mid = 0
        self._wire = _Wire()
        self._event: Connack | tuple[int, bytes] | int | None = None
        self._is_understood = True
        self.on_connect = self._on_connack
        self.on_disconnect = self._on_goodbye
        self.on_subscribe = self.on_unsubscribe = self._on_answer

    def sent(self) -> bytes:
        """What it has sent since it was asked last."""
        data = b"".join(self._wire.sent)
        self._wire.sent.clear()
        return data

    def take(self, packet: bytes) -> Connack | tuple[int, bytes] | int | None:
        """What a packet says.

        :raises WireError: if paho does not understand it.
        """
        self._event, self._is_understood = None, True
        self._wire.arrived = packet
        self.loop_read()
        if not self._is_understood:
            raise WireError("paho does not understand it")
        return self._event

    def _on_connack(self, _client: object, _data: object, flags: Any, code: ReasonCode, properties: object) -> None:
        def said(name: str, otherwise: Any) -> Any:
            return getattr(properties, name, otherwise)

        self._event = Connack(
            session_present=flags.session_present,
            code=code.value,
            receive_maximum=said("ReceiveMaximum", 65_535),
            maximum_packet_size=said("MaximumPacketSize", None),
            server_keep_alive=said("ServerKeepAlive", None),
            maximum_qos=said("MaximumQoS", 2),
            retain_available=bool(said("RetainAvailable", 1)),
            wildcard_available=bool(said("WildcardSubscriptionAvailable", 1)),
            identifiers_available=bool(said("SubscriptionIdentifierAvailable", 1)),
            shared_available=bool(said("SharedSubscriptionAvailable", 1)),
        )

    def _on_answer(self, _client: object, _data: object, mid: int, codes: list[ReasonCode], _more: object) -> None:
        self._is_understood = bool(codes)
        self._event = (mid, bytes(code.value for code in codes))

    def _on_goodbye(self, _client: object, _data: object, flags: Any, code: ReasonCode, _properties: object) -> None:
        if self._event is not None:
            return  # a connection that was refused has ended for paho, too
        # The socket is not paho's: if the broker has not said good-bye, paho did not understand it.
        self._is_understood = flags.is_disconnect_packet_from_server
        self._event = code.value

    def _create_socket(self) -> Any:
        return self._wire

    def _mid_generate(self) -> int:
        return self.next_mid


class _Wire:
    """The socket that paho believes to have."""

    def __init__(self) -> None:
        self.arrived = b""
        self.sent: list[bytes] = []

    def recv(self, size: int) -> bytes:
        data, self.arrived = self.arrived[:size], self.arrived[size:]
        if not data and size:
            raise BlockingIOError
        return data

    def send(self, data: bytes | bytearray) -> int:
        self.sent.append(bytes(data))
        return len(data)

    def close(self) -> None:
        """The connection is closed by whoever has it."""

    def fileno(self) -> int:
        return -1

    def setblocking(self, flag: bool) -> None:
        """Nothing of it ever blocks."""


def _will_properties(will: Will) -> Properties:
    properties = Properties(PacketTypes.WILLMESSAGE)
    properties.WillDelayInterval = will.delay
    properties.MessageExpiryInterval = will.expiry
    properties.ContentType = will.content_type
    properties.UserProperty = list(will.user)
    return properties
