"""Messages: what is made, refused and answered, and with which words."""

from __future__ import annotations

import gc
import json
import os
import time
import weakref
from types import MappingProxyType
from typing import Any

import pytest

from purista_fast import _core, wire  # pyright: ignore[reportPrivateUsage]

SENDER: dict[str, Any] = {"serviceName": "S", "serviceVersion": "1", "serviceTarget": "t", "instanceId": "i"}
RECEIVER: dict[str, Any] = {"serviceName": "R", "serviceVersion": "2", "serviceTarget": "u"}
EVENT = {"messageType": "customMessage", "eventName": "e", "sender": SENDER, "payload": [1, 2]}
COMMAND = {
    "messageType": "command",
    "correlationId": "c",
    "sender": SENDER,
    "receiver": RECEIVER,
    "payload": {"parameter": {"x": 1}, "payload": "ü"},
}


def without(message: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name != key}


def made(**more: Any) -> wire.Message:
    return wire.Message("customMessage", sender=wire.Address("S", "1", "t", "i"), **more)


def test_defaults_of_a_message() -> None:
    message = made()
    assert message.id is not None
    assert len(message.id) == 32
    assert message.id == message.id
    assert message.timestamp is not None
    assert abs(message.timestamp / 1000 - time.time()) < 60
    assert (message.content_type, message.content_encoding) == ("application/json", "utf-8")
    for name in ("receiver", "payload", "trace_id", "correlation_id", "principal_id", "tenant_id", "event_name"):
        assert getattr(message, name) is None
    assert (message.traceparent, message.tracestate, message.is_handled_error) == (None, None, None)
    assert made().id != message.id


def test_every_field_survives_the_wire() -> None:
    fields: dict[str, Any] = {
        "id": "n1",
        "timestamp": 2**63 - 1,
        "trace_id": "t",
        "correlation_id": "c",
        "principal_id": 'p"\\\n\x00',
        "tenant_id": "ü🚀",
        "event_name": "",
        "traceparent": "00-x",
        "tracestate": 'a="1"',
        "is_handled_error": False,
        "content_type": "text/plain",
        "content_encoding": "x",
        "payload": b'{"a":[]}',
        "receiver": wire.Address("R", "2", "u", "j"),
    }
    message = made(**fields)
    arrived = wire.decode(wire.encode(message))
    for name, value in fields.items():
        assert getattr(message, name) == getattr(arrived, name) == value
    assert message.to_dict() == arrived.to_dict()
    assert arrived.sender == wire.Address("S", "1", "t", "i")


def test_call() -> None:
    inner, parameter = wire.decode(wire.encode(COMMAND)).call()
    assert (inner, parameter) == ('"ü"'.encode(), b'{"x":1}')
    assert made(payload=b"{}").call() == (None, None)
    assert made().call() == (None, None)
    with pytest.raises(wire.WireError, match="payload: expected an object with payload and parameter, found an array"):
        made(payload=b"[]").call()


def test_repr_has_no_payload() -> None:
    text = repr(wire.decode(wire.encode({**COMMAND, "id": "n1"})))
    assert text == '<Message command from="S[1].t" to="R[2].u" id="n1">'
    assert repr(wire.Address("R", "2", "u", "j")) == 'Address("R", "2", "u", "j")'


def test_address_is_a_value() -> None:
    one, two = wire.Address("a", "1", "b"), wire.Address(service_name="a", service_version="1", service_target="b")
    assert one == two
    assert hash(one) == hash(two)
    assert one != wire.Address("a", "1", "b", "")
    assert len({one, two, wire.Address("a1", "", "b")}) == 2


def test_an_arrived_message_keeps_its_bytes() -> None:
    data = b' {"x":{"y":[1,null]} ,\n"sender": %s, "messageType":"customMessage"} ' % json.dumps(SENDER).encode()
    message = wire.decode(data)
    assert wire.encode(message) == data
    assert message.payload is None
    buffer = bytearray(data)
    kept = wire.decode(buffer), wire.decode(memoryview(data)), wire.decode(memoryview(data + b"!")[:-1])
    buffer[:] = bytes(len(buffer))
    assert [wire.encode(message) for message in kept] == [data] * 3


def test_a_mapping_keeps_unknown_keys() -> None:
    message = MappingProxyType({**EVENT, "mine": {"a": (1, 2.5, None, True)}})
    assert json.loads(wire.encode(message)) == {**EVENT, "mine": {"a": [1, 2.5, None, True]}}


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (float("nan"), "JSON has no number for NaN"),
        (float("-inf"), "JSON has no number for -inf"),
        ({1: 2}, "a key of type int is not JSON"),
        ({1, 2}, "a value of type set is not JSON"),
        (b"x", "a value of type bytes is not JSON"),
    ],
)
def test_payload_that_is_not_json(payload: object, why: str) -> None:
    with pytest.raises(wire.WireError, match=why):
        wire.encode({**EVENT, "payload": payload})


def test_numbers() -> None:
    numbers = [0, -1, 2**63, -(2**63), 10**400, 0.1, 1e300, 1e-300, 5e-324, -0.0, 1e16, 123456789.0]
    assert wire.decode(wire.encode({**EVENT, "payload": numbers})).to_dict()["payload"] == numbers


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(ValueError, match="surrogates not allowed"):
        wire.encode({**EVENT, "payload": "\ud800"})


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_depth() -> None:
    data = wire.encode({**EVENT, "payload": nested(255)})
    assert wire.decode(data).payload == b"[" * 255 + b"]" * 255
    assert wire.encode(made(payload=b"[" * 255 + b"]" * 255))
    for bad in ({**EVENT, "payload": nested(256)}, made(payload=b"[" * 256 + b"]" * 256)):
        with pytest.raises(wire.WireError, match="nested deeper than 256 levels"):
            wire.encode(bad)
    with pytest.raises(wire.WireError, match="nested deeper than 256 levels"):
        wire.decode(data.replace(b"[[", b"[[[", 1).replace(b"]]", b"]]]", 1))
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(wire.WireError, match="nested deeper"):
        wire.encode({**EVENT, "payload": loop})


@pytest.mark.parametrize("payload", [b"", b"1,", b'1,"sender":{}', b"{", b"\xff", b"nul"])
def test_a_made_message_cannot_break_out_of_its_envelope(payload: bytes) -> None:
    with pytest.raises(wire.WireError, match="payload: not valid JSON"):
        wire.encode(made(payload=payload))


def test_a_command_needs_receiver_and_correlation() -> None:
    sender, receiver = wire.Address("S", "1", "t", "i"), wire.Address("R", "2", "u")
    for kind in ("command", "commandSuccessResponse", "commandErrorResponse"):
        with pytest.raises(wire.WireError, match="receiver is missing"):
            wire.encode(wire.Message(kind, sender=sender, correlation_id="c"))
        with pytest.raises(wire.WireError, match="correlationId is missing"):
            wire.encode(wire.Message(kind, sender=sender, receiver=receiver))
    with pytest.raises(wire.WireError, match=r"sender\.instanceId is missing"):
        wire.encode(wire.Message("customMessage", sender=receiver))
    with pytest.raises(wire.WireError, match='messageType: expected a known type such as "command", found "nope"'):
        wire.Message("nope", sender=sender)


BAD: list[tuple[dict[str, Any], str]] = [
    (without(EVENT, "messageType"), "messageType is missing"),
    ({**EVENT, "messageType": "nope"}, 'messageType: expected a known type such as "command", found "nope"'),
    ({**EVENT, "messageType": 1}, "messageType: expected a string, found a number"),
    ({**EVENT, "messageType": None}, "messageType is missing"),
    (without(EVENT, "sender"), "sender is missing"),
    ({**EVENT, "sender": []}, "sender: expected an object, found an array"),
    ({**EVENT, "sender": without(SENDER, "instanceId")}, r"sender\.instanceId is missing"),
    ({**EVENT, "sender": {**SENDER, "serviceTarget": None}}, r"sender\.serviceTarget is missing"),
    ({**EVENT, "sender": {**SENDER, "serviceName": 7}}, r"sender\.serviceName: expected a string, found a number"),
    ({**EVENT, "receiver": {}}, r"receiver\.serviceName is missing"),
    (without(COMMAND, "receiver"), "receiver is missing"),
    (without(COMMAND, "correlationId"), "correlationId is missing"),
    ({**COMMAND, "correlationId": None}, "correlationId is missing"),
    ({**COMMAND, "receiver": {**RECEIVER, "instanceId": 1}}, r"receiver\.instanceId: expected a string"),
    ({**EVENT, "timestamp": -1}, "timestamp: expected a whole number of milliseconds"),
    ({**EVENT, "timestamp": 1.0}, "timestamp: expected a whole number"),
    ({**EVENT, "timestamp": 2**63}, "timestamp: expected a whole number"),
    ({**EVENT, "timestamp": "1"}, "timestamp: expected a whole number .*, found a string"),
    ({**EVENT, "isHandledError": "true"}, "isHandledError: expected true or false, found a string"),
    ({**EVENT, "otp": {}}, "otp: expected a string that holds an object, found an object"),
    *(({**EVENT, name: 1}, f"{name}: expected a string") for name in ("id", "traceId", "eventName", "contentType")),
]


@pytest.mark.parametrize(("message", "why"), BAD)
def test_bad_messages(message: dict[str, Any], why: str) -> None:
    with pytest.raises(wire.WireError, match=rf"^{why}.* \(at byte \d+\)$"):
        wire.decode(json.dumps(message).encode())
    with pytest.raises(wire.WireError, match=why):
        wire.encode(message)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", r"the data ends too early \(at byte 0\)"),
        (b"[]", r"message: expected an object, found an array \(at byte 0\)"),
        (b"nul", r"message: expected an object, found null"),
        (b'{"id":"a","id":"b"}', r"id is there twice \(at byte 15\)"),
        (b'{"id":null,"\\u0069d":"b"}', "id is there twice"),
        (b'{"payload":1,"payload":2}', "payload is there twice"),
        (b'{"sender":{"instanceId":"","instanceId":""}}', r"sender\.instanceId is there twice"),
        (b'{"a":"\xff"}', r"not UTF-8 \(at byte 6\)"),
        (b'\xef\xbb\xbf{"a":1}', "expected a value"),
        (b'{"timestamp":1.0e3}', "timestamp: expected a whole number"),
        (b'{"a":1,}', "expected a string as key"),
        (b'{"a":01}', "not a number"),
        (b'{"a":.5}', "expected a value"),
        (b'{"a":+1}', "expected a value"),
        (b'{"a":NaN}', "expected a value"),
        (b'{"a":1e}', "not a number"),
        (b'{"a":"\\x"}', "not an escape sequence"),
        (b'{"a":"\\ud800"}', "half of a surrogate pair"),
        (b'{"a":"\\ude00\\ud83d"}', "half of a surrogate pair"),
        (b'{"a":"\t"}', r"a control character in a string must be escaped \(at byte 6\)"),
        (b"{'a':1}", "expected a string as key"),
        (b'{"a":[1 2]}', r"expected ',' or '\]'"),
        (b'{"a":tru}', "expected true"),
    ],
)
def test_bad_data(data: bytes, why: str) -> None:
    with pytest.raises(wire.WireError, match=why):
        wire.decode(data)


@pytest.mark.parametrize("recorded", [COMMAND, EVENT])
def test_no_prefix_of_a_message_is_one(recorded: dict[str, Any]) -> None:
    data = wire.encode(recorded)
    for end in range(len(data)):
        with pytest.raises(wire.WireError):
            wire.decode(data[:end])
    with pytest.raises(wire.WireError, match="more data after the end"):
        wire.decode(data + b"{}")


def test_only_bytes_are_decoded() -> None:
    with pytest.raises(TypeError, match="expected bytes-like data, found str"):
        wire.decode("{}")  # type: ignore[arg-type]


@pytest.mark.parametrize("otp", ["", "{", "[]", '{"traceparent":1}', '{"traceparent":"a"} x'])
def test_a_bad_trace_context_costs_no_message(otp: str) -> None:
    message = wire.decode(wire.encode({**EVENT, "otp": otp}))
    assert (message.traceparent, message.tracestate) == (None, None)


def test_traceparent() -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
    child = wire.new_traceparent(parent)
    assert child[:36] == parent[:36]
    assert child[36:52] != parent[36:52]
    assert child[52:] == "-01"
    for bad in (None, "", "00-" + "0" * 32 + parent[35:], parent[:-1], "é" * 30):
        assert wire.new_traceparent(bad)[3:35] != parent[3:35]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_makes_other_ids() -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, wire.new_id().encode())
        os._exit(0)
    mine = wire.new_id()
    os.waitpid(child, 0)
    assert os.read(reader, 32).decode() != mine
    os.close(reader)
    os.close(writer)


def test_the_tree_is_collected() -> None:
    class Node:
        tree: object

    tree: wire.TopicTree[Node] = wire.TopicTree()
    node = Node()
    node.tree = tree
    for name in ("a/+", "a/b"):
        tree.insert(name, node)
    gone = weakref.ref(node)
    del node, tree
    gc.collect()
    assert gone() is None


def test_equality_that_comes_back_to_the_tree() -> None:
    tree: wire.TopicTree[Any] = wire.TopicTree()

    class Odd:
        def __eq__(self, other: object) -> bool:
            tree.match("a/b")
            tree.insert("a/+", 1)
            raise ZeroDivisionError

        __hash__ = None  # type: ignore[assignment]

    tree.insert("a/+", Odd())
    with pytest.raises(ZeroDivisionError):
        tree.remove("a/+", 5)
    assert len(tree) == 2


def test_everything_public_is_exported() -> None:
    assert all(getattr(wire, name) is getattr(_core, name) for name in wire.__all__)
    assert issubclass(wire.WireError, ValueError)
