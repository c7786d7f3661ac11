"""B: messages from and to bytes, and on to their consumer.

Every side reads the same bytes, or writes a message of the same fields; addresses that do not change are prepared.
Ours answers a command that it has read, and makes time and span anew; the others are given theirs. No side checks the
JSON that it has just made: ours is told that the type is closed, see ``purista_fast.closed``. Payloads end as, and
begin as, the typed msgspec structs of ``purista_fast.bench.envelope``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from purista_fast import Address
from purista_fast.bench.envelope import (
    CLIENT,
    ENDPOINT,
    PAYLOADS,
    ROUTED,
    TIME,
    TRACE,
    TRACEPARENT,
    command,
    event,
)
from purista_fast.bench.envelope import reading as read
from purista_fast.bench.envelope import routing as route
from purista_fast.bench.envelope import writing as write

from .harness import Case, Goal, Result, Wanted, loop, run

__all__ = ("results",)

DECODE_GOALS = (Goal(1.5, "faster"), Goal(1.2, "faster"), *[Goal(1.15, "at most")] * 3)
ENCODE_GOALS = (Goal(1.5, "faster"), Goal(1.3, "faster"), *[Goal(1.05, "at most")] * 3)


class AddressStruct(msgspec.Struct, rename="camel", omit_defaults=True):
    service_name: str
    service_version: str
    service_target: str
    instance_id: str | None = None


class Head(msgspec.Struct, rename="camel", omit_defaults=True, kw_only=True):
    """All fields of the wire but the addresses and the payload."""

    id: str
    timestamp: int
    message_type: str
    trace_id: str | None = None
    correlation_id: str | None = None
    principal_id: str | None = None
    tenant_id: str | None = None
    event_name: str | None = None
    content_type: str = ""
    content_encoding: str = ""
    otp: str | None = None


class Received(Head, rename="camel", kw_only=True):
    sender: AddressStruct
    receiver: AddressStruct | None = None
    payload: msgspec.Raw = msgspec.Raw()


class Call(msgspec.Struct):
    payload: msgspec.Raw
    parameter: msgspec.Raw = msgspec.Raw(b"{}")


class Sent(Head, rename="camel", omit_defaults=True, kw_only=True):
    sender: msgspec.Raw
    receiver: msgspec.Raw
    payload: Any


def results(wanted: Wanted) -> Iterator[Result]:
    """B1 and B2 for each payload, and B3."""
    for id, make, goals in (("B1", reading, DECODE_GOALS), ("B2", writing, ENCODE_GOALS)):
        for (name, payload), goal in zip(PAYLOADS.items(), goals, strict=True):
            if wanted(id):
                yield run(make(name, payload, goal))
    if wanted("B3"):
        yield run(routing())


def reading(name: str, payload: msgspec.Struct, goal: Goal) -> Case:
    """From bytes to the fields that route and answer a command, and to its typed payload."""
    kind = type(payload)
    call = msgspec.defstruct("TypedCall", [("payload", kind), ("parameter", dict[str, Any], {})])
    typed = msgspec.defstruct("Typed", [("payload", call)], bases=(Received,), kw_only=True)
    decode_typed: Callable[[bytes], Any] = msgspec.json.Decoder(typed).decode
    decode_raw = msgspec.json.Decoder(Received).decode
    decode_call = msgspec.json.Decoder(Call).decode
    decode_payload = msgspec.json.Decoder(kind).decode
    data = command(payload)
    ours = read(payload)

    def fields(message: Any, found: Any) -> tuple[Any, ...]:
        return (
            message.message_type,
            message.correlation_id,
            message.trace_id,
            message.principal_id,
            message.tenant_id,
            message.event_name,
            message.sender.instance_id,
            message.receiver,
            found,
        )

    def one_struct() -> tuple[Any, ...]:
        message = decode_typed(data)
        return fields(message, message.payload.payload)

    def struct_and_raw() -> tuple[Any, ...]:
        message = decode_raw(data)
        return fields(message, decode_payload(decode_call(message.payload).payload))

    same(ours()[-1], one_struct()[-1], struct_and_raw()[-1], payload)
    return case("B1", f"decode, {name}", ours, {"one typed Struct": one_struct, "Struct and Raw": struct_and_raw}, goal)


def writing(name: str, payload: msgspec.Struct, goal: Goal) -> Case:
    """From what a handler returns to the bytes of its answer."""
    encode_payload = msgspec.json.Encoder().encode
    sender, receiver = (msgspec.Raw(as_json(address)) for address in (ENDPOINT, CLIENT))

    ours = write(payload)

    def sent(body: Any) -> bytes:
        return encode_payload(
            Sent(
                message_type="commandSuccessResponse",
                sender=sender,
                receiver=receiver,
                payload=body,
                id=TRACE,
                timestamp=TIME,
                trace_id=TRACE,
                correlation_id=TRACE,
                principal_id="somebody",
                tenant_id="somewhere",
                event_name="readingStored",
                content_type="application/json",
                content_encoding="utf-8",
                otp=f'{{"traceparent":"{TRACEPARENT}"}}',
            )
        )

    def one_struct() -> bytes:
        return sent(payload)

    def struct_and_raw() -> bytes:
        return sent(msgspec.Raw(encode_payload(payload)))

    same(*(comparable(data) for data in (ours(), one_struct(), struct_and_raw())))
    return case("B2", f"encode, {name}", ours, {"one typed Struct": one_struct, "Struct and Raw": struct_and_raw}, goal)


def routing() -> Case:
    """From bytes into the queue of the one consumer, and out of it, without a look at the payload."""
    data = event(ROUTED)
    ours = route(data)
    decode_raw = msgspec.json.Decoder(Received).decode
    waiting: deque[Received] = deque(maxlen=10)
    consumers = {("customMessage", "stored"): waiting}

    def struct_and_raw() -> Received:
        received = decode_raw(data)
        consumers[received.message_type, received.event_name or ""].append(received)
        return waiting.popleft()

    same(ours().payload, bytes(struct_and_raw().payload))
    return case("B3", "route, 16 KiB", ours, {"Struct and Raw, a dict": struct_and_raw}, Goal(2.0, "faster"))


def case(id: str, what: str, ours: Callable[[], object], peers: dict[str, Callable[[], object]], goal: Goal) -> Case:
    timed = {f"msgspec, {name}": loop(peer) for name, peer in peers.items()}
    return Case(id=id, what=what, ours=loop(ours), peers=timed, goal=goal)


def comparable(data: bytes) -> dict[str, Any]:
    """A message without what ours makes anew each time, and the others are given: time, span, and the id it answers."""
    message: dict[str, Any] = msgspec.json.decode(data)
    del message["timestamp"], message["id"]
    message["otp"] = message["otp"][:52], len(message["otp"])
    return message


def as_json(address: Address) -> bytes:
    return msgspec.json.encode(
        AddressStruct(address.service_name, address.service_version, address.service_target, address.instance_id)
    )


def same(first: object, *others: object) -> None:
    """Makes sure that all sides did the same work."""
    for other in others:
        if other != first:
            raise AssertionError(f"{str(other)[:200]} is not {str(first)[:200]}")
