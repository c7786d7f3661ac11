"""The packets of which there are few, as both transports make and read them: byte for byte as two other codecs do."""

import contextlib
from typing import Any

import mqtt5
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purista_fast._core import WireError, pack_connect, pack_subscribe, read_control
from purista_fast.bridges.mqtt.connect import Connect, Will
from purista_fast.bridges.mqtt.reasons import reason
from purista_fast.bridges.mqtt.transports import KINDS, Transport, make_transport

QOS = [mqtt5.QoS.AT_MOST_ONCE, mqtt5.QoS.AT_LEAST_ONCE]
texts = st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"]), max_size=40)
seconds = st.integers(1, 0xFFFF_FFFF)
mids = st.integers(1, 65_535)
wills = st.builds(
    Will,
    topic=st.just("will/of/node"),
    payload=st.binary(max_size=100),
    delay=seconds,
    expiry=seconds,
    content_type=texts.filter(bool),
    user=st.lists(st.tuples(texts, texts), min_size=1, max_size=5),
)
connects = st.builds(
    Connect,
    client_id=texts.filter(bool),
    clean_start=st.booleans(),
    session_expiry=seconds,
    receive_maximum=st.integers(1, 65_534),
    max_packet_size=st.integers(1, 268_435_455),
    max_payload_size=st.just(1000),
    keep_alive=st.integers(0, 65_535),
    will=st.none() | wills,
)


EXAMPLE = Connect(
    client_id="node",
    clean_start=True,
    session_expiry=0,
    receive_maximum=10,
    max_packet_size=10_000,
    max_payload_size=1000,
    keep_alive=30,
)


def of_mqtt5(connect: Connect, username: str | None, password: str | None) -> bytes:
    will = connect.will and mqtt5.Will(
        connect.will.topic,
        payload=connect.will.payload,
        qos=mqtt5.QoS.AT_LEAST_ONCE,
        message_expiry_interval=connect.will.expiry,
        content_type=connect.will.content_type,
        will_delay_interval=connect.will.delay,
        user_properties=list(connect.will.user),
    )
    return mqtt5.ConnectPacket(
        connect.client_id,
        username=username,
        password=None if password is None else password.encode(),
        clean_start=connect.clean_start,
        will=will,
        keep_alive=connect.keep_alive,
        session_expiry_interval=connect.session_expiry,
        receive_max=connect.receive_maximum,
        max_packet_size=connect.max_packet_size,
    ).write()


def all_of(name: str, *arguments: Any) -> list[bytes]:
    """The packet as each transport makes it, on a connection that is there."""
    return [getattr(connected(kind), name)(*arguments) for kind in KINDS]


def connected(kind: str) -> Transport:
    made = make_transport(kind)
    made.connect(EXAMPLE, None, None)
    made.read(bytes.fromhex("2003000000"))
    return made


@given(connects, st.none() | texts, st.none() | texts)
@settings(max_examples=300)
def test_a_connect(connect: Connect, username: str | None, password: str | None) -> None:
    if username is None:
        password = None
    made = [make_transport(kind).connect(connect, username, password) for kind in KINDS]
    expected = of_mqtt5(connect, username, password)
    assert made[0] == made[1]
    read, _ = mqtt5.read(made[0])
    assert read == mqtt5.read(expected)[0]
    assert len(made[0]) == len(expected)


@given(mids, texts.filter(bool), st.none() | st.integers(1, 268_435_455), st.sampled_from([0x00, 0x01, 0x21, 0x11]))
def test_a_subscribe(mid: int, text: str, identifier: int | None, options: int) -> None:
    if "#" in text or "+" in text:
        return
    expected = mqtt5.SubscribePacket(
        mid,
        [
            mqtt5.TopicFilter(
                text,
                max_qos=QOS[options & 1],
                retain_as_published=False,
                retain_handling=mqtt5.RetainHandling(options >> 4),
            )
        ],
        subscription_id=identifier,
    ).write()
    assert all_of("subscribe", mid, text, identifier, options) == [expected] * 2


@given(mids, texts.filter(bool))
def test_an_unsubscribe(mid: int, text: str) -> None:
    if "#" in text or "+" in text:
        return
    assert all_of("unsubscribe", mid, text) == [mqtt5.UnsubscribePacket(mid, [text]).write()] * 2


@given(seconds)
def test_a_disconnect(expiry: int) -> None:
    expected = mqtt5.DisconnectPacket(session_expiry_interval=expiry).write()
    assert all_of("disconnect", expiry) == [expected] * 2


@given(
    st.sampled_from([mqtt5.ConnAckReasonCode.SUCCESS, mqtt5.ConnAckReasonCode.NOT_AUTHORIZED]),
    st.none() | st.integers(1, 65_535),
    st.integers(1, 65_535),
    st.none() | st.integers(1, 268_435_455),  # paho understands no more
    st.sampled_from(QOS),
    st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()),
    st.lists(st.tuples(texts, texts), max_size=3),
)
def test_a_connack(
    code: Any, keep_alive: int | None, receive: int, size: int | None, qos: Any, able: tuple[bool, ...], user: Any
) -> None:
    packet = mqtt5.ConnAckPacket(
        session_present=able[0] and code == 0,
        reason_code=code,
        server_keep_alive=keep_alive,
        receive_max=receive,
        max_packet_size=size,
        max_qos=qos,
        retain_available=able[0],
        wildcard_subscription_available=able[1],
        subscription_id_available=able[2],
        shared_subscription_available=able[3],
        assigned_client_id="somebody",
        reason_str="because",
        user_properties=user,
    ).write()
    for kind in KINDS:
        read: Any = make_transport(kind) if kind == "native" else paho_that_waits()
        said = read.read(packet)
        found = (said.session_present, said.code, said.server_keep_alive, said.receive_maximum)
        assert found == (able[0] and code == 0, code, keep_alive, receive), kind
        more = (said.retain_available, said.wildcard_available, said.identifiers_available, said.shared_available)
        assert (said.maximum_packet_size, said.maximum_qos, *more) == (size, qos, *able), kind


def paho_that_waits() -> Transport:
    made = make_transport("paho")
    made.connect(EXAMPLE, None, None)
    return made


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("packet", "said"),
    [
        ("9004 000a 00 01", (10, b"\x01")),
        ("9006 000a 00 01 87 00", (10, b"\x01\x87\x00")),
        ("900b 000a 06 1f0003626164 01 80", (10, b"\x01\x80")),
        ("9010 000a 0c 1f0002 6f6b 26 0001 6b 0001 76 01", (10, b"\x01")),
        ("b004 000a 00 11", (10, b"\x11")),
        ("e000", 0),
        ("e001 8b", 0x8B),
        ("e002 8e00", 0x8E),
        ("e008 8b 06 1f0003627965", 0x8B),
        ("d000", None),
    ],
)
def test_what_a_packet_says(kind: str, packet: str, said: Any) -> None:
    assert connected(kind).read(bytes.fromhex(packet)) == said


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packet", ["9001 00", "2001 00", "f000", "0000", "9004 000a 05 01", "9003 000a 00"])
def test_what_nobody_understands(kind: str, packet: str) -> None:
    with pytest.raises(WireError):
        connected(kind).read(bytes.fromhex(packet))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("packet", ["c000", "6202 000a", "5002 000a", "9104 000a 00 01", "8200", "1000"])
def test_what_a_client_is_not_sent_is_not_answered(kind: str, packet: str) -> None:
    transport = connected(kind)
    with pytest.raises(WireError, match=f"begins with 0x{packet[:2].upper()}, which a client is not sent"):
        transport.read(bytes.fromhex(packet))
    assert transport.disconnect(0)[:1] == b"\xe0"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("login", [("me", "s" * 65_536), ("u" * 65_536, "secret")])
def test_a_login_that_is_too_long(kind: str, login: tuple[str, str]) -> None:
    with pytest.raises(WireError, match="65535") as caught:
        make_transport(kind).connect(EXAMPLE, *login)
    assert "sss" not in str(caught.value)


def test_a_broker_of_mqtt_3_does_not_speak_our_version() -> None:
    said: Any = make_transport("native").read(bytes.fromhex("2002 0001"))
    assert (said.code, said.session_present) == (0x84, False)


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "a\nb"},
        {"username": "x" * 65_536},
        {"username": "me", "password": b"x" * 65_536},
        {"will": ("t", b"x" * 65_536, 1, 1, "text/plain", [])},
        {"will": ("t", b"", 1, 1, "text/plain", [("a", "\x00")])},
    ],
)
def test_what_mqtt_does_not_carry(change: dict[str, Any]) -> None:
    plain: dict[str, Any] = {
        "client_id": "node",
        "clean_start": True,
        "keep_alive": 30,
        "session_expiry": 0,
        "receive_maximum": 10,
        "maximum_packet_size": 1000,
    }
    assert pack_connect(**plain)
    with pytest.raises(WireError) as caught:
        pack_connect(**{**plain, **change})
    assert "xxxxxxxxx" not in str(caught.value) or "username" in change, "the password is not told"


def test_a_filter_that_mqtt_does_not_carry() -> None:
    with pytest.raises(WireError, match="control characters"):
        pack_subscribe(1, "a\x00b", None, 1)


@given(st.binary(max_size=60))
def test_anything_is_read_without_harm(packet: bytes) -> None:
    with contextlib.suppress(WireError):
        read_control(packet)


def test_reasons_are_those_of_paho() -> None:
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.reasoncodes import ReasonCode

    known = ReasonCode(PacketTypes.CONNACK).names
    for code, names in known.items():
        if code not in (0x01, 0x02):  # the granted quality of service
            words = reason(code).lower().replace("subscriptions not", "subscription not")
            assert words in {name.lower() for name in names} | {"no subscription existed"}, hex(code)
    assert reason(0x42) == "Unknown reason"
