"""Which results are sent without another look, and that only those are."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pytest

from purista_fast import Address, Message
from purista_fast._core import WireError, answer, decode, encode
from purista_fast.closed import is_closed_type

CLIENT = Address("Client", "1", "client", "a")
SERVICE = Address("User", "1", "signUp", "b")
RECEIVED = decode(
    encode(
        Message(
            "command",
            sender=CLIENT,
            receiver=SERVICE,
            correlation_id="c",
            trace_id="",
            principal_id="p",
            traceparent="00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
            payload=b'{"parameter":{"x":1}, "payload":[1, 2]}',
        )
    )
)


class Flat(msgspec.Struct):
    a: dict[str, list[int | None]]
    b: tuple[str, ...]
    c: datetime
    d: Literal["x", "y"]
    e: Annotated[int, msgspec.Meta(ge=1)]
    f: Decimal


class Nested(msgspec.Struct):
    inner: Nested | None = None


class WithRaw(msgspec.Struct):
    raw: msgspec.Raw


@pytest.mark.parametrize("kind", [int, None, Flat, list[Flat], Flat | None])
def test_closed(kind: Any) -> None:
    assert is_closed_type(kind)


@pytest.mark.parametrize(
    "kind", [Any, object, Nested, WithRaw, list[Any], dict[str, Nested], tuple[Flat, WithRaw], list]
)
def test_not_closed(kind: Any) -> None:
    assert not is_closed_type(kind)


def test_an_answer_repeats_its_command() -> None:
    response = decode(encode(answer(RECEIVED, SERVICE, b"[1]", "signedUp")))
    assert response.message_type == "commandSuccessResponse"
    assert (response.id, response.correlation_id, response.principal_id) == (RECEIVED.id, "c", "p")
    assert (response.sender, response.receiver, response.event_name) == (SERVICE, CLIENT, "signedUp")
    assert response.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert (response.traceparent or "")[:35] == (RECEIVED.traceparent or "")[:35]
    assert (response.payload, response.tenant_id, response.is_handled_error) == (b"[1]", None, None)


@pytest.mark.parametrize("payload", [b"[1", b"", b"nul", b"[" * 256 + b"]" * 256])
def test_an_answer_is_checked_unless_told_otherwise(payload: bytes) -> None:
    with pytest.raises(WireError, match="payload"):
        encode(answer(RECEIVED, SERVICE, payload))


def test_what_was_passed_off_as_checked_is_refused_by_its_receiver() -> None:
    data = encode(answer(RECEIVED, SERVICE, b"[1", is_checked=True))
    with pytest.raises(WireError):
        decode(data)


def test_unpack() -> None:
    assert RECEIVED.unpack() == (
        "command",
        "c",
        "",
        "p",
        None,
        None,
        RECEIVED.traceparent,
        CLIENT,
        SERVICE,
        b"[1, 2]",
        b'{"x":1}',
    )
    event = Message("customMessage", sender=SERVICE, event_name="e", payload=b"[1]")
    for message in (event, decode(encode(event))):
        assert message.unpack() == ("customMessage", *[None] * 4, "e", None, SERVICE, None, b"[1]", None)
    with pytest.raises(WireError):
        Message("command", sender=CLIENT, receiver=SERVICE, correlation_id="c", payload=b"[]").unpack()


def test_addresses_of_arrived_messages_are_shared_and_right() -> None:
    for number in range(300):
        sender = Address(f"S{number}", "1", "t", f"i{number % 7}")
        message = decode(encode(Message("customMessage", sender=sender, event_name="e")))
        assert message.sender == sender
        assert message.sender is message.sender
    long = Address("S", "1", "t", "x" * 1000)
    assert decode(encode(Message("customMessage", sender=long, event_name="e"))).sender == long
