"""What the broker says of its limits when it accepts a connection (MQTT 5, 3.2.2.3)."""

from __future__ import annotations

from collections.abc import Iterator

from ..bridges.mqtt.expiry import whole_seconds
from ..config import BridgeSettings
from .finding import Finding, broken, ok, warn
from .wire import Packet

__all__ = ("check_limits",)

_SMALL_WINDOW = 10
_NEEDED = {
    "MaximumQoS": ("QoS 1", "max_qos 2", 2),
    "WildcardSubscriptionAvailable": ("wildcards in subscriptions", "allow wildcard subscriptions", 1),
    "SubscriptionIdentifierAvailable": ("subscription identifiers", "allow subscription identifiers", 1),
    "SharedSubscriptionAvailable": ("shared subscriptions", "allow shared subscriptions", 1),
}


def check_limits(connack: Packet, settings: BridgeSettings) -> Iterator[Finding]:
    """Compares a CONNACK with the settings.

    :param connack: the answer to a CONNECT that asked for ``bridge.session_expiry`` and ``bridge.keep_alive``.
    """
    lacking = [(what, change) for name, (what, change, full) in _NEEDED.items() if connack.property(name, full) == 0]
    for what, change in lacking:
        yield broken(
            "features", f"the broker denies {what}", change, "no instance starts: the bridge cannot do without"
        )
    if not lacking:
        yield ok("features", "QoS 1, wildcards, shared subscriptions and subscription identifiers are there")
    yield _window(connack.property("ReceiveMaximum", 65_535))
    if connack.property("RetainAvailable", 1) == 0:
        yield warn(
            "retain",
            "the broker takes no retained messages",
            "retain_available true",
            'after each reconnect the outbox sends events that are "disk" again, though the broker may have saved them',
        )
    else:
        yield ok("retain", "retained messages are there")
    yield _packet_size(connack.property("MaximumPacketSize"), settings)
    yield _expiry(connack.property("SessionExpiryInterval"), settings)
    yield _keep_alive(connack.property("ServerKeepAlive"), settings)


def _window(receive_maximum: int) -> Finding:
    text = f"the broker takes {receive_maximum} messages unacknowledged from one client"
    if receive_maximum < _SMALL_WINDOW:
        cost = "over a link with 100 ms delay a client sends about " + f"{receive_maximum * 10} messages a second"
        return warn("receive maximum", text, "max_inflight_messages 1000", cost)
    return ok("receive maximum", text)


def _packet_size(limit: int | None, settings: BridgeSettings) -> Finding:
    own = settings.max_packet_size
    if limit is not None and limit < own:
        return warn(
            "packet size",
            f"the broker takes packets up to {limit} bytes, bridge.max_packet_size is {own}",
            f"max_packet_size {own}, or bridge.max_packet_size = {max(limit, 1024)}",
            "larger events and answers are refused with 413",
        )
    return ok("packet size", f"the broker takes packets of bridge.max_packet_size ({own} bytes), as far as it tells")


def _expiry(granted: int | None, settings: BridgeSettings) -> Finding:
    wanted = whole_seconds(settings.session_expiry)
    if granted is not None and granted < wanted:
        return broken(
            "session expiry",
            f"the broker keeps a session for {granted} s, bridge.session_expiry asks for {wanted} s",
            "a longer session expiry at the broker (mosquitto: persistent_client_expiration), or a shorter "
            "bridge.session_expiry",
            f"an instance that is away for more than {granted} s loses the events that waited for it",
        )
    return ok("session expiry", f"the broker does not shorten bridge.session_expiry ({wanted} s), as far as it tells")


def _keep_alive(server: int | None, settings: BridgeSettings) -> Finding:
    if server is not None and server < settings.keep_alive:
        return warn(
            "keep alive",
            f"the broker wants a sign of life every {server} s, bridge.keep_alive is {settings.keep_alive}",
            f"max_keepalive {max(60, 2 * settings.keep_alive)}, or bridge.keep_alive = {max(5, server - 1)}",
            "mosquitto before 2.0.22 drops clients whose keep-alive is the largest that it allows",
        )
    return ok("keep alive", f"bridge.keep_alive ({settings.keep_alive} s) is accepted")
