"""Messages from and to bytes, and on to their consumer. Payloads end as, and begin as, typed msgspec structs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from .._core import Address, Dispatcher, Message, answer, decode, encode
from ..closed import is_closed_type

__all__ = (
    "CLIENT",
    "ENDPOINT",
    "PAYLOADS",
    "ROUTED",
    "TIME",
    "TRACE",
    "TRACEPARENT",
    "Record",
    "Records",
    "Text",
    "command",
    "event",
    "reading",
    "routing",
    "writing",
)

TIME = 1_764_000_000_000
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
CLIENT = Address("Client", "1", "client", "abcdefghijklmnop")
ENDPOINT = Address("Thermo", "1", "storeReading", "greenhouse_7")


class Record(msgspec.Struct):
    """A small payload."""

    id: int
    name: str
    value: float


class Records(msgspec.Struct):
    """A payload of many small parts."""

    records: list[Record]


class Text(msgspec.Struct):
    """A payload that is one string."""

    text: str


def _records(count: int) -> Records:
    return Records([Record(number, f"sensor_{number % 100:02}", number / 8) for number in range(count)])


PAYLOADS: dict[str, msgspec.Struct] = {
    "60 B": Record(1, "sensor-temperature-01-greenhouse", 23.5),
    "1 KiB": _records(22),
    "16 KiB, 340 records": _records(340),
    "16 KiB, one string": Text("a measured text " * 1024),
    "256 KiB": _records(5300),
}
"""By their size."""
ROUTED = PAYLOADS["16 KiB, 340 records"]
"""The payload of the message that is routed."""


def command(payload: msgspec.Struct) -> bytes:
    """A command as it arrives."""
    message = Message(
        "command",
        sender=CLIENT,
        receiver=Address("Thermo", "1", "storeReading"),
        payload=msgspec.json.encode({"payload": payload, "parameter": {}}),
        timestamp=TIME,
        trace_id=TRACE,
        correlation_id=TRACE,
        principal_id="somebody",
        tenant_id="somewhere",
        traceparent=TRACEPARENT,
    )
    return encode(message)


def event(payload: msgspec.Struct) -> bytes:
    """An event as it arrives."""
    return encode(Message("customMessage", sender=ENDPOINT, event_name="stored", payload=msgspec.json.encode(payload)))


def reading(payload: msgspec.Struct) -> Callable[[], tuple[Any, ...]]:
    """From bytes to the fields that route and answer a command, and to its typed payload."""
    decode_payload = msgspec.json.Decoder(type(payload)).decode
    data = command(payload)

    def read() -> tuple[Any, ...]:
        # As the MQTT bridge takes out what it runs a command by.
        kind, correlation_id, trace_id, principal_id, tenant_id, event_name, _, sender, receiver, inner, _ = decode(
            data
        ).unpack()
        found = decode_payload(inner or b"")
        return (
            kind,
            correlation_id,
            trace_id,
            principal_id,
            tenant_id,
            event_name,
            sender.instance_id,
            receiver,
            found,
        )

    return read


def writing(payload: msgspec.Struct) -> Callable[[], bytes]:
    """From what a handler returns to the bytes of its answer."""
    encode_payload = msgspec.json.Encoder().encode

    received = decode(command(payload))
    is_closed = is_closed_type(type(payload))

    def write() -> bytes:
        # As the MQTT bridge does it where the endpoint says that the type of its results is closed.
        return encode(answer(received, ENDPOINT, encode_payload(payload), "readingStored", is_closed))

    return write


def routing(data: bytes) -> Callable[[], Message]:
    """From the bytes of an event into the queue of its one consumer, and out of it, without a look at the payload."""
    dispatcher = Dispatcher()
    queue = dispatcher.subscribe(10, False, _nothing, _nothing)
    dispatcher.listen(queue, {"messageType": "customMessage", "eventName": "stored"})

    def route() -> Message:
        if dispatcher.offer(decode(data)) >= 0:
            raise AssertionError("the queue is full")
        found: Message = dispatcher.take(queue, 1)[0]
        return found

    return route


def _nothing() -> None:
    """Nobody has to be woken."""
