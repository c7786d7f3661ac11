"""What a peer sends that means ill: too much of anything is refused, counted, and costs the others nothing."""

import json
from typing import Any

import msgspec
import pytest

from purista_fast import App, Context, Event, HandledError, PayloadError, Service, UnhandledError
from purista_fast.bridges.mqtt import limits
from tests.broker.helpers import Bench, Peer, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("transport")]
happened = Event("happened", Any)
SENDER = {"serviceName": "X", "serviceVersion": "1", "serviceTarget": "t", "instanceId": "evil"}
EVENT: dict[str, Any] = {
    "messageType": "customMessage",
    "eventName": "happened",
    "id": "a" * 32,
    "timestamp": 1,
    "sender": SENDER,
    "payload": 1,
}


class Victim:
    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.seen: list[Any] = []
        service = self.service = Service("Watch")

        @service.subscription(happened)
        async def on(ctx: Context, payload: Any) -> None:
            self.seen.append(payload)

        @service.command
        async def echo(ctx: Context, payload: Any) -> str:
            return type(payload).__name__

        self.echo = echo
        self.event_topic = bench.topic("custom_message", "none", "none", "evil", "x", "1", "t", "happened")
        self.command_topic = bench.topic(
            "command", "none", "none", "evil", "x", "1", "t", "none", "none", "watch", "1", "echo"
        )

    def command(self, payload: Any, **more: Any) -> dict[str, Any]:
        receiver = {"serviceName": "Watch", "serviceVersion": "1", "serviceTarget": "echo"}
        return {
            **EVENT,
            "eventName": None,
            "messageType": "command",
            "receiver": receiver,
            "correlationId": "c" * 32,
            "payload": {"payload": payload},
            **more,
        }

    async def is_well(self, client: Any, reason: str, count: int = 1) -> None:
        """Whether so many were refused, and all else goes on over the very same connection."""
        await until(lambda: client.statistics()["rejected"].get(reason, 0) >= count)
        self.seen.clear()
        await client.emit(happened, "well")
        await until(lambda: "well" in self.seen)
        assert await client.invoke(self.echo, 1) == "int"
        assert client.statistics()["reconnects"] == 0
        assert client.health().drops[f"refused: {reason}"] >= count


@pytest.fixture
def victim(bench: Bench) -> Victim:
    return Victim(bench)


def crowd(peer: Peer, victim: Victim, number: int, qos: int) -> None:
    peer.publish(victim.event_topic, EVENT, qos=qos, UserProperty=[("a", "b")] * number)


async def test_user_properties(victim: Victim, bench: Bench) -> None:
    async with bench.serve(victim.service) as client:
        with bench.peer() as peer:
            for qos in (0, 1):
                crowd(peer, victim, 10_000, qos)
            await victim.is_well(client, "properties too large", 2)
            crowd(peer, victim, limits.MOST_USER_PROPERTIES + 1, 1)
            await victim.is_well(client, "too many user properties")
            victim.seen.clear()
            crowd(peer, victim, limits.MOST_USER_PROPERTIES, 1)
            await until(lambda: victim.seen)
            for name in ("ContentType", "ResponseTopic"):
                peer.publish(victim.event_topic, EVENT, **{name: "x" * 60_000})
            peer.publish(victim.event_topic, EVENT, CorrelationData=b"x" * 60_000)
            await victim.is_well(client, "properties too large", 5)


async def test_payloads(victim: Victim, bench: Bench) -> None:
    async with bench.serve(victim.service, max_payload_size=100_000) as client:
        with bench.peer() as peer:
            for topic, body in [
                (victim.event_topic, {**EVENT, "payload": "x" * 100_000}),
                (victim.command_topic, victim.command("x" * 100_000)),
            ]:
                peer.publish(topic, body)
            await victim.is_well(client, "payload too large", 2)
        for send in (client.emit(happened, "x" * 100_000), client.invoke(victim.echo, "x" * 100_000)):
            with pytest.raises(UnhandledError, match=r"413 .*bridge\.max_payload_size"):
                await send
        with pytest.raises(UnhandledError, match="431 "):
            await client.acting(principal_id="p" * 20_000).emit(happened, 1)


@pytest.mark.parametrize(
    "field", ["traceId", "id", "otp", "unknown", "contentType", "correlationId"], ids=lambda field: str(field)
)
async def test_header_fields(victim: Victim, bench: Bench, field: str) -> None:
    async with bench.serve(victim.service) as client:
        with bench.peer() as peer:
            peer.publish(victim.event_topic, {**EVENT, field: "x" * 1_000_000})
            peer.publish(victim.command_topic, victim.command(1, **{field: "x" * 1_000_000}))
            await victim.is_well(client, "header too large", 2)
        assert victim.seen == ["well"]


async def test_ids_that_are_remembered(victim: Victim, bench: Bench) -> None:
    async with bench.serve(victim.service) as client:
        with bench.peer() as peer:
            for number in range(10):
                peer.publish(victim.command_topic, victim.command(1, correlationId=f"{number}" * 1000))
            await victim.is_well(client, "id too long", 10)


async def test_nesting(victim: Victim, bench: Bench) -> None:
    async with bench.serve(victim.service) as client:
        with bench.peer() as peer:
            for depth in (300, 100_000):
                text = json.dumps({**EVENT, "payload": "HERE"}).replace('"HERE"', "[" * depth + "]" * depth)
                peer.publish(victim.event_topic, text.encode())
                call = json.dumps(victim.command("HERE")).replace('"HERE"', '{"a":' * depth + "1" + "}" * depth)
                peer.publish(victim.command_topic, call.encode())
            await victim.is_well(client, "not a message", 4)
            victim.seen.clear()
            text = json.dumps({**EVENT, "payload": "HERE"}).replace('"HERE"', "[" * 200 + "]" * 200)
            peer.publish(victim.event_topic, text.encode())
            await until(lambda: victim.seen)
        deep = msgspec.Raw(b"[" * 100_000 + b"]" * 100_000)
        with pytest.raises(PayloadError):
            await client.emit(happened, deep)
        with pytest.raises((UnhandledError, HandledError), match="400 "):
            await client.invoke(victim.echo, deep)


async def test_nesting_in_memory(victim: Victim) -> None:
    """There is no wire, so the bound is msgspec's."""
    nested: Any = 1
    for _ in range(100_000):
        nested = [nested]
    async with App(victim.service).serve(bridge="memory://") as client:
        for deep in (nested, msgspec.Raw(b"[" * 100_000 + b"]" * 100_000)):
            with pytest.raises(PayloadError):
                await client.emit(happened, deep)
            # What is no JSON yet cannot be made into it; what is reaches the handler's schema.
            with pytest.raises((HandledError, RecursionError)):
                await client.invoke(victim.echo, deep)
        assert await client.invoke(victim.echo, 1) == "int"
