"""Filters and identifiers: groups, equal and overlapping filters, the form of PURISTA's info messages."""

from typing import Any

import anyio
import pytest

from purista_fast import Context, DefinitionError, Event, Service
from purista_fast._core import Address, Message
from purista_fast.bridges.base import Consumer
from purista_fast.bridges.mqtt import subscriptions
from purista_fast.bridges.mqtt.subscriptions import Interest, Table, filters_of, identifier_of
from tests.broker.helpers import Bench, until

happened = Event("itHappened", int)


async def nothing(message: Message) -> None: ...


def consumer(target: str = "onIt", *, shared: bool = True, types: tuple[str, ...] = (), **wanted: Any) -> Consumer:
    return Consumer(
        address=Address("MyWatch", "1", target, "node"),
        subscription=wanted,
        message_types=types,
        handle=nothing,
        shared=shared,
    )


def test_groups_and_levels() -> None:
    event = "purista/+/+/+/+/+/+/+/it_happened/+/+/+/+"
    assert filters_of(consumer(eventName="itHappened"), "purista") == [f"$share/sharedpurista_my_watch_1_on_it/{event}"]
    assert filters_of(consumer(eventName="itHappened", shared=False), "purista") == [event]
    one_type = consumer(eventName="itHappened", types=("customMessage",), shared=False)
    assert filters_of(one_type, "purista") == [event.replace("/+/", "/custom_message/", 1)]


def test_info_messages_have_a_filter_for_the_short_form() -> None:
    ready = consumer(types=("infoServiceReady",), shared=False)
    assert [len(text.split("/")) for text in filters_of(ready, "purista")] == [13, 12]
    everything = consumer(tenantId="t", shared=False)
    assert filters_of(everything, "purista")[1] == "purista/+/+/t/+/+/+/+/+/+/+/+"
    shared = consumer(tenantId="t")
    assert filters_of(shared, "purista")[1] == "$share/sharedpurista_my_watch_1_on_it/purista/+/+/t/+/+/+/+/+/+/+/+"
    assert len(filters_of(consumer(receiver={"serviceName": "A"}), "purista")) == 1


def test_identifiers_are_stable_and_valid() -> None:
    assert identifier_of("purista/+") == identifier_of("purista/+")
    assert identifier_of("purista/command/+") == identifier_of("".join(("purista/", "command/+")))
    assert all(1 <= identifier_of(str(number)) <= 0x0FFF_FFFF for number in range(1000))


def test_equal_filters_are_one_subscription_with_several_consumers() -> None:
    table = Table()
    first = Interest(consumer("a", shared=False, eventName="e"), 1, "purista")
    second = Interest(consumer("b", shared=False, eventName="e"), 2, "purista")
    assert len(table.add(first)) == 1
    assert table.add(second) == []
    (identifier,) = table.filters.values()
    assert table.find(identifier) == [first, second]
    assert table.remove(first) == []
    assert table.remove(second) == second.filters
    assert (table.find(identifier), table.filters) == (None, {})


def test_a_collision_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "identifier_of", lambda text: 5)
    table = Table()
    table.add(Interest(consumer("a", eventName="e"), 1, "purista"))
    with pytest.raises(DefinitionError, match="have the same subscription identifier 5: rename one"):
        table.add(Interest(consumer("b", eventName="e"), 2, "purista"))


def test_a_filter_that_no_topic_can_have_is_refused() -> None:
    with pytest.raises(DefinitionError, match="MyWatch/1/onIt cannot be subscribed by MQTT: principalId '#'"):
        filters_of(consumer(principalId="#"), "purista")


@pytest.mark.anyio
async def test_overlapping_filters_give_each_consumer_the_message_once(bench: Bench) -> None:
    watch = Service("Watch")
    got: list[str] = []

    def add(name: str, **wanted: Any) -> None:
        @watch.subscription(name=name, **wanted)
        async def on(ctx: Context, payload: int) -> None:
            got.append(name)

    expected = []
    for shared in (True, False):
        for name, wanted in {
            "event": {"event_name": "itHappened"},
            "tenant": {"tenant_id": "t"},
            "sender": {"sender": {"service": "Client"}},
            "both": {"tenant_id": "t", "event_name": "itHappened"},
        }.items():
            add(f"{name}_{shared}", shared=shared, **wanted)
            expected.append(f"{name}_{shared}")
    async with bench.serve(watch) as client:  # noqa: SIM117 - the listeners end first
        async with client.listen(happened) as first, client.listen(happened) as second, client.listen() as third:
            await client.acting(tenant_id="t").emit(happened, 1)
            for messages in (first, second, third):
                assert (await anext(messages)).payload == b"1"
            await until(lambda: len(got) >= len(expected))
            await client.acting(tenant_id="t").emit(happened, 2)
            await until(lambda: len(got) >= 2 * len(expected))
            for messages in (first, second, third):
                assert (await anext(messages)).payload == b"2"
    assert sorted(got) == sorted(expected * 2)


@pytest.mark.anyio
async def test_two_ids_that_share_a_level_are_told_apart(bench: Bench) -> None:
    watch = Service("Watch")
    got: list[int] = []

    @watch.subscription(happened, tenant_id="tenantA")
    async def on(ctx: Context, payload: int) -> None:
        got.append(payload)

    async with bench.serve(watch) as client:
        await client.acting(tenant_id="tenant_a").emit(happened, 1)
        await client.acting(tenant_id="tenantA").emit(happened, 2)
        await until(lambda: got)
    assert got == [2]


@pytest.mark.anyio
async def test_info_messages_of_purista_arrive_on_either_form(bench: Bench) -> None:
    watch = Service("Watch")
    got: list[str | None] = []

    @watch.subscription(message_type="infoServiceReady", sender={"service": "UserService"})
    async def on(ctx: Context) -> None:
        got.append(ctx.message.id)

    async with bench.serve(watch), bench.connect() as client:  # noqa: SIM117 - likewise
        async with client.listen(message_type="infoServiceReady") as messages:
            with bench.peer() as peer:
                sender = {"serviceName": "UserService", "serviceVersion": "1", "serviceTarget": "", "instanceId": "i"}
                levels = ["info_service_ready", "none", "none", "i", "user_service", "1"]
                for number, left_out in enumerate((0, 1)):
                    body = {"messageType": "infoServiceReady", "id": str(number), "timestamp": 1, "sender": sender}
                    topic = "/".join([bench.prefix, *levels, *["none"] * (6 - left_out)])
                    await anyio.to_thread.run_sync(peer.publish, topic, body)
            await until(lambda: len(got) == 2)
            found = []
            while len(found) < 2:
                message = await anext(messages)
                if message.sender.service_name == "UserService":
                    found.append(message.id)
    assert sorted(got, key=str) == sorted(found, key=str) == ["0", "1"]
