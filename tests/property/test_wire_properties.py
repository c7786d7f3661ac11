"""Envelopes against the json module."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purista_fast import wire

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
names = ("serviceName", "serviceVersion", "serviceTarget", "instanceId")
addresses = st.fixed_dictionaries(dict.fromkeys(names, texts))
envelopes = st.fixed_dictionaries(
    {"messageType": st.sampled_from(["customMessage", "infoServiceReady"]), "sender": addresses},
    optional={
        "id": texts,
        "timestamp": st.integers(0, 2**63 - 1),
        "traceId": texts,
        "correlationId": texts,
        "principalId": texts,
        "tenantId": texts,
        "eventName": texts,
        "receiver": addresses,
        "contentType": texts,
        "contentEncoding": texts,
        "isHandledError": st.booleans(),
        "payload": values,
        "more": values,
    },
)
DEFAULTS = {"contentType": "application/json", "contentEncoding": "utf-8"}


@given(envelopes, st.booleans())
def test_decodes_what_json_wrote(envelope: dict[str, Any], ascii_only: bool) -> None:
    data = json.dumps(envelope, ensure_ascii=ascii_only).encode()
    message = wire.decode(data)
    expected = {**DEFAULTS, **{name: value for name, value in envelope.items() if name != "more"}}
    assert message.to_dict() == expected
    if "payload" in envelope:
        assert json.loads(message.payload or b"") == envelope["payload"]
    assert wire.encode(message) == data


@given(envelopes)
def test_json_reads_what_was_encoded(envelope: dict[str, Any]) -> None:
    assert json.loads(wire.encode(envelope)) == envelope


@given(envelopes)
def test_a_made_message_decodes_as_it_was(envelope: dict[str, Any]) -> None:
    parts = ("trace_id", "correlation_id", "principal_id", "tenant_id", "event_name", "traceparent", "tracestate")
    fields = {name: f"{name} {envelope['sender']['serviceName']}" for name in parts}
    sender = wire.Address(*envelope["sender"].values())
    message = wire.Message(envelope["messageType"], sender=sender, payload=b"[]", **fields)  # type: ignore[arg-type]
    arrived = wire.decode(wire.encode(message))
    assert arrived.to_dict() == message.to_dict()
    assert arrived.user_properties() == message.user_properties()


@given(envelopes, st.data())
def test_a_changed_byte_is_read_as_json_reads_it(envelope: dict[str, Any], data: st.DataObject) -> None:
    envelope = {"messageType": "customMessage", "sender": dict.fromkeys(names, "x"), "more": envelope}
    changed = bytearray(json.dumps(envelope).encode())
    start = changed.index(b'"more"') + 8
    position = data.draw(st.integers(start, len(changed) - 1))
    changed[position] = data.draw(st.integers(0, 255))
    try:
        expected = json.loads(changed.decode(), parse_constant=pytest.fail)
        json.dumps(expected, ensure_ascii=False).encode()
    except (ValueError, pytest.fail.Exception):
        with pytest.raises(wire.WireError):
            wire.decode(changed)
    else:
        if set(expected) <= {"messageType", "sender", "more"}:
            wire.decode(changed)


@given(st.binary(max_size=200))
def test_anything_is_a_message_or_an_error(data: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.decode(data)
