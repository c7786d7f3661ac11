"""Whatever anybody publishes: nothing crashes, nothing around it is lost, and it is reported."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from purista_fast import Context, Event, Service
from tests.broker.helpers import Bench, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("transport")]

numbered = Event("numbered", int)
SENDER = {"serviceName": "X", "serviceVersion": "1", "serviceTarget": "t", "instanceId": "evil"}
EVENT: dict[str, Any] = {
    "messageType": "customMessage",
    "eventName": "numbered",
    "id": "a" * 32,
    "timestamp": 1,
    "sender": SENDER,
    "payload": "no number",
}
COMMAND: dict[str, Any] = {
    "messageType": "command",
    "id": "b" * 32,
    "timestamp": 1,
    "sender": SENDER,
    "receiver": {"serviceName": "Watch", "serviceVersion": "1", "serviceTarget": "echo"},
}


def corpus() -> Iterator[bytes]:
    yield from (b"", b"not json", b"\xff\xfe", b"null", b"[]", b"[" * 100_000, b'{"a":' * 5_000, b'{"a":1}x')
    for key in EVENT:
        yield json.dumps({name: value for name, value in EVENT.items() if name != key}).encode()
        for value in (None, 5, "x", [], {}, 1e308, "\0", True):
            yield json.dumps({**EVENT, key: value}).encode()
    text = json.dumps(EVENT)
    yield text.replace('"timestamp": 1', '"timestamp": 99999999999999999999999999999').encode()
    yield text.replace('"timestamp": 1', '"timestamp": 1, "timestamp": 2').encode()
    yield text.replace('"no number"', "9" * 5_000).encode()
    yield text.replace('"no number"', r'"\ud800"').encode()
    yield json.dumps({**EVENT, "payload": "x" * 10_000_000}).encode()
    yield json.dumps({**EVENT, "messageType": "somethingElse"}).encode()
    yield json.dumps({**EVENT, "sender": {**SENDER, "instanceId": "somebody"}}).encode()
    for number, payload in enumerate([None, 5, [], {}, {"payload": "x"}, {"payload": 1, "parameter": []}]):
        yield json.dumps({**COMMAND, "correlationId": str(number), "payload": payload}).encode()


async def test_bad_input_costs_nothing_else(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    watch = Service("Watch")
    handled: list[int] = []

    @watch.subscription(numbered)
    async def on(ctx: Context, payload: int) -> None:
        handled.append(payload)

    @watch.command
    async def echo(ctx: Context, payload: int) -> int:
        return payload

    with caplog.at_level(logging.WARNING):
        async with bench.serve(watch, instance_id="victim") as client:
            topics = [
                bench.topic("custom_message", "none", "none", "evil", "x", "1", "t", "numbered"),
                bench.topic("command", "none", "none", "evil", "x", "1", "t", "none", "none", "watch", "1", "echo"),
                bench.topic("command_success_response", *["none"] * 7, "victim"),
            ]
            bad = list(corpus())
            with bench.peer("attacker") as peer:
                for number, data in enumerate(bad):
                    for topic in topics:
                        peer.publish(topic, data, qos=number % 2)
                    await client.emit(numbered, number)
                    assert await client.invoke(echo, number) == number
            await until(lambda: set(range(len(bad))) <= set(handled))
            rejected = client.statistics()["rejected"]
            assert rejected["not a message"] > len(bad)
            assert rejected["forged topic"] > 0
            assert client.statistics()["reconnects"] == 0
    assert any("not a message" in record.getMessage() for record in caplog.records)
    assert all(len(record.getMessage()) < 3_000 for record in caplog.records), "a log line of the attacker's size"
