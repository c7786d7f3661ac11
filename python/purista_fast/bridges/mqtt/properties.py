"""What travels beside the payload: how long messages count, and the MQTT 5 properties of connections."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ..._core import Message

__all__ = (
    "connect_properties",
    "disconnect_properties",
    "event_expiry",
    "subscribe_properties",
    "whole_seconds",
    "will_properties",
)

_LARGEST_SECONDS = 0xFFFF_FFFF


def whole_seconds(seconds: float) -> int:
    """A duration as a message expiry: rounded up, at least 1."""
    return min(max(1, ceil(seconds)), _LARGEST_SECONDS)


def event_expiry(message: Message, remaining: float, longest: float) -> int:
    """How long the broker may keep a message, in seconds.

    A command and a response that is no event are of no use after the caller's timeout.

    :param remaining: what is left of the caller's timeout.
    :param longest: ``bridge.message_expiry``.
    """
    kind = message.message_type
    is_answer = kind in ("commandSuccessResponse", "commandErrorResponse") and not message.event_name
    return whole_seconds(remaining if kind == "command" or is_answer else longest)


def connect_properties(*, session_expiry: int, receive_maximum: int, max_packet_size: int) -> Properties:
    """What we ask of a connection."""
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = session_expiry
    properties.ReceiveMaximum = receive_maximum
    properties.MaximumPacketSize = max_packet_size
    return properties


def will_properties(*, delay: int, expiry: int, content_type: str, user: Sequence[tuple[str, str]]) -> Properties:
    """The properties of a will.

    :param delay: how long the broker waits for a reconnect, in seconds.
    """
    properties = Properties(PacketTypes.WILLMESSAGE)
    properties.WillDelayInterval = delay
    properties.MessageExpiryInterval = expiry
    properties.ContentType = content_type
    properties.UserProperty = list(user)
    return properties


def subscribe_properties(identifier: int) -> Properties:
    """Names a subscription."""
    properties = Properties(PacketTypes.SUBSCRIBE)
    properties.SubscriptionIdentifier = identifier
    return properties


def disconnect_properties(session_expiry: int) -> Properties:
    """How long the session is to be kept after a DISCONNECT, in seconds."""
    properties = Properties(PacketTypes.DISCONNECT)
    properties.SessionExpiryInterval = session_expiry
    return properties
