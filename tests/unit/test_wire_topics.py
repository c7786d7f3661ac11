"""Topics and filters: what is refused, and with which words."""

from __future__ import annotations

from typing import Any

import pytest

from purista_fast import wire

SENDER = {"serviceName": "S", "serviceVersion": "1", "serviceTarget": "", "instanceId": "i"}
INFO = {"messageType": "infoServiceReady", "sender": SENDER}


@pytest.mark.parametrize("text", ["+", "#", "/", "..", "\0", "+/", "//", "##"])
@pytest.mark.parametrize("field", ["principalId", "tenantId", "eventName"])
def test_texts_that_would_forge_a_topic(field: str, text: str) -> None:
    with pytest.raises(wire.WireError, match=f"^{field} '.+' cannot be a topic level"):
        wire.message_topic({"messageType": "customMessage", field: text})
    if text == "+":
        assert wire.subscription_filter({field: text}, shared=False) == wire.subscription_filter({}, shared=False)
    else:
        with pytest.raises(wire.WireError, match=f"^{field} '.+' cannot be a topic level"):
            wire.subscription_filter({field: text}, shared=False)


@pytest.mark.parametrize("part", ["serviceName", "serviceVersion", "serviceTarget"])
def test_a_command_must_be_named(part: str) -> None:
    address = {"serviceName": "S", "serviceVersion": "1", "serviceTarget": "t"}
    with pytest.raises(wire.WireError, match=f"{part} must not be empty"):
        wire.command_filter({**address, part: ""})
    with pytest.raises(wire.WireError, match=rf"{part} '\+' cannot be a topic level"):
        wire.command_filter({**address, part: "+"})


def test_an_instance_must_be_named() -> None:
    with pytest.raises(wire.WireError, match="instanceId must not be empty"):
        wire.response_filter("")
    with pytest.raises(wire.WireError, match=r"instanceId '\+' cannot"):
        wire.response_filter("+")


def test_prefix_share_and_stand_in() -> None:
    assert wire.response_filter("i", prefix="siteA").startswith("site_a/+/")
    shared = wire.subscription_filter({}, shared=True, share_prefix="$queue", share_name="sharedpurista_S_1_t")
    assert shared.startswith("$queue/sharedpurista_S_1_t/purista/+/")
    assert "/nobody/" in wire.message_topic(INFO, empty="nobody")
    for options in ({"prefix": ""}, {"prefix": "#"}):
        with pytest.raises(wire.WireError, match="the topic prefix"):
            wire.message_topic(INFO, **options)
    with pytest.raises(wire.WireError, match="the stand-in for empty texts"):
        wire.message_topic(INFO, empty="")
    with pytest.raises(wire.WireError, match="the share name 'a/b' cannot be"):
        wire.command_filter({"serviceName": "S", "serviceVersion": "1", "serviceTarget": "t"}, share_name="a/b")


def test_length() -> None:
    wire.message_topic({"messageType": "customMessage", "eventName": "a" * 60_000})
    with pytest.raises(wire.WireError, match="bytes long, MQTT allows 65535"):
        wire.message_topic({"messageType": "customMessage", "eventName": "a" * 65_535})


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ({}, "messageType is missing"),
        ({"messageType": "nope"}, "messageType: expected a known type"),
        ({"messageType": 1}, "messageType: expected a string, found int"),
        ({"messageType": "command", "sender": "S"}, "sender: expected a mapping, found str"),
        (5, "expected a mapping, found int"),
    ],
)
def test_what_is_no_message(message: Any, why: str) -> None:
    with pytest.raises(wire.WireError, match=why):
        wire.message_topic(message)


def test_short_info_filter() -> None:
    short = wire.short_info_filter({"messageType": "infoServiceReady"}, shared=True)
    assert short == "$share/sharedpurista/purista/info_service_ready/+/+/+/+/+/+/+/+/+/+"
    assert wire.short_info_filter({}, shared=False) is None
    assert wire.short_info_filter({"messageType": "command"}, shared=False) is None
    named = {"messageType": "infoServiceReady", "sender": {"serviceTarget": "t"}}
    assert wire.short_info_filter(named, shared=False) is None


def test_forged_messages() -> None:
    message = wire.decode(wire.encode({**INFO, "tenantId": "a"}))
    assert message.agrees_with(message.topic())
    assert message.agrees_with("purista/info_service_ready/none/a/i/s/1/none/none/none/none/none")
    assert message.agrees_with("purista/info_service_ready/none/a/i/s/1")
    assert not message.agrees_with("purista/info_service_ready/none/b/i/s/1/none/none/none/none/none/none")
    assert not message.agrees_with("purista/info_service_ready/none/a/i/s/1/t/none/none/none/none/none")
    assert not message.agrees_with("purista/custom_message/none/a/i/s/1/none/none/none/none/none/none")
    assert not message.agrees_with(message.topic() + "/none")
    assert not message.agrees_with("")
    assert not message.agrees_with(message.topic(), "other")


@pytest.mark.parametrize(
    "text", ["", "a+", "+a/b", "a/#/b", "a#", "#/", "\0", "$share", "$share/g", "$share/g/", "$share//a", "$share/+/a"]
)
def test_filters_that_mqtt_does_not_allow(text: str) -> None:
    tree: wire.TopicTree[int] = wire.TopicTree()
    with pytest.raises(wire.WireError):
        tree.insert(text, 1)
    assert len(tree) == 0


def test_tree() -> None:
    tree: wire.TopicTree[str] = wire.TopicTree()
    for name in ("a/b", "a/+", "a/#", "#", "+/b", "$SYS/#", "+/+", "$share/g/a/b", "$share/g/a/+", "a/b/#", "/+"):
        tree.insert(name, name)
    matched = ["#", "$share/g/a/+", "$share/g/a/b", "+/+", "+/b", "a/#", "a/+", "a/b", "a/b/#"]
    assert sorted(tree.match("a/b")) == matched
    assert sorted(tree.match("a")) == ["#", "a/#"]
    assert tree.match("$SYS/x") == ["$SYS/#"]
    assert tree.match("$SYS") == ["$SYS/#"]
    assert sorted(tree.match("/x")) == ["#", "+/+", "/+"]
    assert not tree.remove("a/b", "$share/g/a/b")
    assert tree.remove("$share/g/a/b", "$share/g/a/b")
    assert not tree.remove("$share/g/a/b", "$share/g/a/b")
    assert len(tree) == 10
    for bad in ("", "a/+", "#", "\0"):
        with pytest.raises(wire.WireError):
            tree.match(bad)
