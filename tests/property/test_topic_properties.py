"""Topics, filters and the topic tree against naive twins."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purista_fast import wire

DESCRIPTION = json.loads((Path(__file__).parents[1] / "vectors" / "snake_case.json").read_text("utf-8"))["description"]
REGEX = re.search(r"regular expression (\S+)", DESCRIPTION)
assert REGEX is not None
WORDS = re.compile(REGEX.group(1), re.ASCII)

levels = st.sampled_from(["", "a", "b", "$x", "é", "+"])


def naive_snake_case(text: str) -> str:
    return "_".join(word.lower() for word in WORDS.findall(text)) or text


@given(st.text() | st.text("aAbBzZ019_- é+", max_size=30))
def test_snake_case(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    assert wire.snake_case(text) == naive_snake_case(text)


def naive_match(pattern: str, topic: str) -> bool:
    if pattern.startswith("$share/"):
        pattern = pattern.split("/", 2)[2]
    wanted, found = pattern.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in "+#" and wanted[0]:
        return False
    if wanted[-1] == "#":
        wanted.pop()
        found = found[: len(wanted)]
    return len(wanted) == len(found) and all(w in ("+", f) for w, f in zip(wanted, found, strict=True))


@st.composite
def filters(draw: st.DrawFn) -> str:
    parts = draw(st.lists(levels, min_size=1, max_size=5))
    if draw(st.booleans()):
        parts.append("#")
    text = "/".join(parts) or "a"
    return draw(st.sampled_from(["", "", "$share/g/", "$share/h/"])) + text


topics = st.lists(levels.filter(lambda level: level != "+"), min_size=1, max_size=6).map("/".join).filter(bool)


@given(st.lists(filters(), max_size=30), st.lists(topics, min_size=1), st.data())
def test_tree(inserted: list[str], looked_up: list[str], data: st.DataObject) -> None:
    tree: wire.TopicTree[int] = wire.TopicTree()
    kept = list(enumerate(inserted))
    for number, pattern in kept:
        tree.insert(pattern, number)
    for _ in range(data.draw(st.integers(0, len(kept)))):
        number, pattern = kept.pop(data.draw(st.integers(0, len(kept) - 1)))
        assert tree.remove(pattern, number)
        assert not tree.remove(pattern, number)
    assert len(tree) == len(kept)
    for topic in looked_up:
        assert sorted(tree.match(topic)) == [number for number, pattern in kept if naive_match(pattern, topic)]


ids = st.text("aAbB1-_. +#/\0é", max_size=8)
names = ("serviceName", "serviceVersion", "serviceTarget", "instanceId")
addresses = st.fixed_dictionaries(dict.fromkeys(names, ids))
messages = st.fixed_dictionaries(
    {"messageType": st.sampled_from(["customMessage", "infoServiceReady", "command"]), "sender": addresses},
    optional={"principalId": ids, "tenantId": ids, "eventName": ids, "receiver": addresses},
)


def naive_topic(message: dict[str, Any]) -> str | None:
    info = message["messageType"].startswith("info")
    sender, receiver = message["sender"], {} if info else message.get("receiver", {})
    order = ("instanceId", "serviceName", "serviceVersion", "serviceTarget")
    texts = [
        message.get("principalId"),
        message.get("tenantId"),
        *(sender[name] for name in order),
        message.get("eventName"),
        *(receiver.get(name) for name in order),
    ]
    parts = [naive_snake_case(text or "__none__") for text in ["purista", message["messageType"], *texts]]
    return None if any(part == ".." or set(part) & set("+#/\0") for part in parts) else "/".join(parts)


@given(messages)
def test_message_topic(message: dict[str, Any]) -> None:
    expected = naive_topic(message)
    if expected is None:
        with pytest.raises(wire.WireError, match="cannot be a topic level"):
            wire.message_topic(message)
    else:
        assert wire.message_topic(message) == expected


@given(messages, st.data())
def test_a_message_that_passes_the_filter_arrives_by_it(message: dict[str, Any], data: st.DataObject) -> None:
    if naive_topic(message) is None:
        return
    if message["messageType"] == "infoServiceReady":
        message.pop("receiver", None)  # info messages have none
    wanted = {name: value for name, value in message.items() if data.draw(st.booleans())}
    tree: wire.TopicTree[int] = wire.TopicTree()
    tree.insert(wire.subscription_filter(wanted, shared=data.draw(st.booleans())), 1)
    if wire.matches(wanted, message):
        assert tree.match(wire.message_topic(message)) == [1]


@given(messages)
def test_agreement(message: dict[str, Any]) -> None:
    topic = naive_topic(message)
    if topic is None or message["messageType"] == "command":
        return
    arrived = wire.decode(wire.encode(message))
    assert arrived.agrees_with(topic)
    assert not arrived.agrees_with(f"{topic}/none")
    assert not arrived.agrees_with("purista/x" + topic[7:])
