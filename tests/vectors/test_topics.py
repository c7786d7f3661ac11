"""The topics of PURISTA 2, as recorded from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from purista_fast import wire

VECTORS = Path(__file__).parent


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text("utf-8"))


def named(case: dict[str, Any]) -> str:
    return str(case.get("name") or case.get("input") or case.get("topic_filter"))


TOPICS = load("topics.json")

#: Where the original slips (a level is swallowed, a wildcard gets through), and what is right.
SLIPS = {
    'principalId ".." (path.join removes the level before)': None,
    'principalId "+" (wildcard in a publish topic)': None,
    'principalId "/" ': None,
    "empty principalId (path.join drops the level)": ("purista/command/none/0_", "purista/command/none/none/0_"),
    'tenantId "." (path.join drops the level)': ("purista/command/none/0_", "purista/command/none/./0_"),
    "info service ready (empty serviceTarget -> one level less)": ("/1/none", "/1/none/none"),
}


@pytest.mark.parametrize("case", load("snake_case.json")["cases"], ids=named)
def test_snake_case(case: dict[str, str]) -> None:
    assert wire.snake_case(case["input"]) == case["output"]


@pytest.mark.parametrize("case", TOPICS["message_topics"], ids=named)
def test_topic_of_a_message(case: dict[str, Any]) -> None:
    slip = SLIPS.get(case["name"], ("", ""))
    if slip is None:
        with pytest.raises(wire.WireError, match=r"principalId '.+' cannot be a topic level"):
            wire.message_topic(case["message"])
        return
    topic = wire.message_topic(case["message"])
    assert topic == case["topic"].replace(*slip, 1)
    assert topic.count("/") == 12


@pytest.mark.parametrize("case", TOPICS["subscription_topics"], ids=named)
def test_filter_of_a_subscription(case: dict[str, Any]) -> None:
    assert wire.subscription_filter(case["subscription"], shared=False) == case["topic_filter"]
    assert wire.subscription_filter(case["subscription"], shared=True) == case["shared_topic_filter"]


@pytest.mark.parametrize("case", TOPICS["command_subscription_topics"], ids=named)
def test_filter_of_a_command(case: dict[str, Any]) -> None:
    assert wire.command_filter(case["address"]) == case["shared_topic_filter"]
    assert wire.command_filter(case["address"], shared=False) == case["topic_filter"]


@pytest.mark.parametrize("case", TOPICS["command_response_subscription_topics"], ids=named)
def test_filter_of_responses(case: dict[str, Any]) -> None:
    assert wire.response_filter(case["instanceId"]) == case["topic_filter"]


def test_filters_that_purista_subscribed() -> None:
    service = {"serviceName": "UserService", "serviceVersion": "1"}
    filters = {wire.response_filter("0af7651916cd43dd8448eb211c80319c")}
    filters.add(wire.response_filter("4bf92f3577b34da6a3ce929d0e0e4736"))
    for target in ("echo", "userSignUp", "getUserById", "crash", "relay"):
        filters.add(wire.command_filter({**service, "serviceTarget": target}))
    shared: list[dict[str, Any]] = [
        {"eventName": "orderPlaced"},
        {"eventName": "newUserRegistered", "sender": {"serviceVersion": "1"}},
        {"eventName": "failingEvent"},
        {
            "messageType": "command",
            "principalId": "Principal_42",
            "tenantId": "tenant-1",
            "receiver": {**service, "serviceTarget": "echo"},
        },
    ]
    filters |= {wire.subscription_filter(subscription, shared=True) for subscription in shared}
    mine: list[dict[str, Any]] = [
        {"messageType": "commandSuccessResponse", "sender": {**service, "serviceTarget": "userSignUp"}},
        {"messageType": "infoServiceReady"},
    ]
    filters |= {wire.subscription_filter(subscription, shared=False) for subscription in mine}
    assert filters == {case["topic_filter"] for case in load("subscribe_filters.json")["subscribe"]}


@pytest.mark.parametrize("case", load("subscription_matching.json")["cases"], ids=named)
def test_matching(case: dict[str, Any]) -> None:
    assert wire.matches(case["subscription"], case["message"]) is case["matches"]
    if case["message"]["messageType"] != "somethingElse":
        message = wire.decode(wire.encode(case["message"]))
        assert wire.matches(case["subscription"], message) is case["matches"]
