"""What the bridge relies on of paho: a release that changes one of these is not for us yet.

``Handshake`` replaces ``_create_socket`` and ``_mid_generate``, gives paho one packet at a time, and has it write into
a list. All else is paho's public face.
"""

from itertools import count
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from purista_fast.bridges.mqtt.connect import Connect
from purista_fast.bridges.mqtt.handshake import Handshake
from purista_fast.bridges.mqtt.properties import disconnect_properties, subscribe_properties


class Played:
    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.called: list[tuple[str, Any]] = []
        connect = Connect(
            "node",
            clean_start=False,
            session_expiry=60,
            receive_maximum=10,
            max_packet_size=10_000,
            max_payload_size=1000,
            keep_alive=30,
        )
        names = {"on_connect": 3, "on_disconnect": 3, "on_subscribe": 2, "on_unsubscribe": 2}
        callbacks = {name: lambda *a, name=name, at=at: self.called.append((name, a[at])) for name, at in names.items()}
        self.mids = count(1000)
        self.paho = Handshake(connect, "me", "secret", self.sent.append, lambda: next(self.mids), callbacks)

    def take(self, packet: str) -> tuple[str, Any]:
        self.paho.take(bytes.fromhex(packet))
        return self.called.pop()


@pytest.fixture
def played() -> Played:
    return Played()


def test_the_methods_that_are_replaced() -> None:
    for name in ("_create_socket", "_mid_generate"):
        assert callable(getattr(paho.Client, name, None)), f"paho has no {name} any more"


def test_it_has_sent_its_connect_when_it_is_made(played: Played) -> None:
    assert len(played.sent) == 1
    packet = played.sent[0]
    assert packet[0] == 0x10
    assert packet[2:12] == b"\x00\x04MQTT\x05\xc0\x00\x1e", "MQTT 5, name and password, no clean start, 30 s"
    for part in (b"\x11\x00\x00\x00\x3c", b"\x21\x00\x0a", b"\x27\x00\x00\x27\x10", b"\x00\x04node", b"\x00\x06secret"):
        assert part in packet


def test_it_handles_one_packet_at_a_time_and_calls_back_at_once(played: Played) -> None:
    name, code = played.take("2009 01 00 06 21000a 130014")
    assert (name, code.value) == ("on_connect", 0)
    assert played.paho.keepalive == 20, "what the broker says counts"
    _, mid = played.paho.subscribe([("a/b", SubscribeOptions(qos=1))], properties=subscribe_properties(7))
    assert mid == 1000
    assert played.sent[-1] == bytes.fromhex("820b 03e8 020b07 0003612f62 01"), "written at once, with our packet id"
    assert played.take("9004 03e8 00 01") == ("on_subscribe", 1000)
    _, mid = played.paho.unsubscribe("a/b")
    assert mid == 1001
    assert played.take("b004 03e9 00 00") == ("on_unsubscribe", 1001)
    name, code = played.take("e001 8b")
    assert (name, code.value) == ("on_disconnect", 0x8B)


def test_it_refuses_what_is_malformed(played: Played) -> None:
    played.take("2003 000000")
    name, _ = played.take("9001 00")
    assert name == "on_disconnect"


def test_it_sends_its_disconnect_at_once(played: Played) -> None:
    played.take("2003 000000")
    assert played.paho.disconnect(properties=disconnect_properties(60)) == MQTTErrorCode.MQTT_ERR_SUCCESS
    assert played.sent[-1] == bytes.fromhex("e007 00 05 110000003c")
    assert played.called.pop()[0] == "on_disconnect"
