"""What the transport relies on of paho: a release that changes one of these is not for us yet.

It replaces ``_create_socket`` and ``_mid_generate``, gives paho one packet at a time, and has it write into a list. All
else is paho's public face. That it makes and reads packets as others do: see ``tests/unit/test_mqtt_codec.py``.
"""

import paho.mqtt.client as paho

from purista_fast._core import Connack
from purista_fast.bridges.mqtt.connect import Connect
from purista_fast.bridges.mqtt.transports.paho import Paho


def connected() -> Paho:
    transport = Paho()
    connect = Connect(
        client_id="node",
        clean_start=False,
        session_expiry=60,
        receive_maximum=10,
        max_packet_size=10_000,
        max_payload_size=1000,
        keep_alive=30,
    )
    packet = transport.connect(connect, "me", "secret")
    assert packet[2:12] == b"\x00\x04MQTT\x05\xc0\x00\x1e", "MQTT 5, name and password, no clean start, 30 s"
    for part in (b"\x11\x00\x00\x00\x3c", b"\x21\x00\x0a", b"\x27\x00\x00\x27\x10", b"\x00\x04node", b"\x00\x06secret"):
        assert part in packet
    return transport


def test_the_methods_that_are_replaced() -> None:
    for name in ("_create_socket", "_mid_generate"):
        assert callable(getattr(paho.Client, name, None)), f"paho has no {name} any more"


def test_it_handles_one_packet_at_a_time_and_answers_at_once() -> None:
    transport = connected()
    said = transport.read(bytes.fromhex("2009 01 00 06 21000a 130014"))
    assert isinstance(said, Connack)
    assert (said.session_present, said.code, said.receive_maximum, said.server_keep_alive) == (True, 0, 10, 20)
    packet = transport.subscribe(1000, "a/b", 7, 1)
    assert packet == bytes.fromhex("820b 03e8 020b07 0003612f62 01"), "with our packet id"
    assert transport.read(bytes.fromhex("9004 03e8 00 01")) == (1000, b"\x01")
    assert transport.unsubscribe(1001, "a/b")[2:4] == b"\x03\xe9"
    assert transport.read(bytes.fromhex("b004 03e9 00 00")) == (1001, b"\x00")
    assert transport.disconnect(60) == bytes.fromhex("e007 00 05 110000003c")


def test_a_refusal_is_told_although_it_ends_the_connection() -> None:
    said = connected().read(bytes.fromhex("2003 008700"))
    assert isinstance(said, Connack)
    assert said.code == 0x87
