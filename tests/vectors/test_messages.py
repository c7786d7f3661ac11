"""The messages of PURISTA 2, as recorded from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from purista_fast import wire

SCENARIOS = json.loads((Path(__file__).parent / "wire_messages.json").read_text("utf-8"))["scenarios"]
MESSAGES = [
    pytest.param(message, id=f"{scenario['scenario']}-{number}")
    for scenario in SCENARIOS
    for number, message in enumerate(scenario["messages"])
]


@pytest.mark.parametrize("recorded", MESSAGES)
def test_message(recorded: dict[str, Any]) -> None:
    data = recorded["payload"].encode()
    expected = json.loads(data)
    message = wire.decode(data)
    assert wire.encode(message) == data
    assert message.to_dict() == {**expected, **({"otp": message.to_dict()["otp"]} if "otp" in expected else {})}
    assert json.loads(message.to_dict()["otp"]) == json.loads(expected["otp"])
    assert message.sender.instance_id == expected["sender"]["instanceId"]
    again = wire.decode(wire.encode(message.to_dict()))
    assert again.to_dict() == message.to_dict()
    if message.message_type == "command":
        inner, parameter = message.call()
        assert json.loads(inner or b"null") == expected["payload"].get("payload")
        assert json.loads(parameter or b"null") == expected["payload"].get("parameter")


@pytest.mark.parametrize("recorded", MESSAGES)
def test_topic(recorded: dict[str, Any]) -> None:
    message = wire.decode(recorded["payload"].encode())
    if message.principal_id == "..":
        with pytest.raises(wire.WireError, match=r"principalId '\.\.' cannot be a topic level"):
            message.topic()
        assert not message.agrees_with(recorded["topic"])
        return
    topic = message.topic()
    assert topic.count("/") == 12
    assert message.agrees_with(topic)
    assert message.agrees_with(recorded["topic"])
    if message.sender.service_target:
        assert topic == recorded["topic"]
    else:
        assert recorded["topic_levels"] == 12
        assert topic == recorded["topic"].replace("/1/none", "/1/none/none", 1)
        short = wire.short_info_filter({"messageType": message.message_type}, shared=False)
        tree: wire.TopicTree[int] = wire.TopicTree()
        tree.insert(short or "", 1)
        assert tree.match(recorded["topic"]) == [1]
        assert tree.match(topic) == []


@pytest.mark.parametrize("recorded", MESSAGES)
def test_user_properties(recorded: dict[str, Any]) -> None:
    message = wire.decode(recorded["payload"].encode())
    expected = [(name, value) for name, value in recorded["properties"]["user_properties"]]
    found = message.user_properties()
    if message.message_type.endswith("Response"):
        # The original opens another span between envelope and packet.
        found = [(n, v[:36] if n == "traceparent" else v) for n, v in found]
        expected = [(n, v[:36] if n == "traceparent" else v) for n, v in expected]
    if message.id is None:
        # The event that a subscription returns is made elsewhere in the original, in another order.
        found.sort()
        expected.sort()
    assert found == expected
