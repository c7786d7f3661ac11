"""What a subscription filters on: each field of a message, alone and together."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from purista_fast import Client, Context, Event, Service, UnhandledError
from tests.contract.harness import Harness
from tests.contract.helpers import Inbox, anything, numbered

other = Event("somethingElse", int)
done = Event("done", int)

alpha = Service("Alpha", version="1")
beta = Service("Beta", version="2")


@alpha.command(success_event=done)
async def tell(ctx: Context, payload: int) -> int:
    await ctx.emit(numbered, payload)
    return payload


@beta.command(name="tellMore", success_event=done)
async def tell_more(ctx: Context, payload: int) -> int:
    await ctx.emit(numbered, payload)
    return payload


@beta.command
async def fail(ctx: Context, payload: int) -> None:
    raise RuntimeError("as planned")


async def by_name(client: Client, which: int) -> None:
    await client.emit(numbered if which else other, which)


async def by_principal(client: Client, which: int) -> None:
    await client.acting(principal_id="user1" if which else "user2").emit(numbered, which)


async def by_principal_case(client: Client, which: int) -> None:
    await client.acting(principal_id="userA" if which else "user_a").emit(numbered, which)


async def by_tenant(client: Client, which: int) -> None:
    await client.acting(tenant_id="ten1" if which else "ten2").emit(numbered, which)


async def by_tenant_or_none(client: Client, which: int) -> None:
    await (client.acting(tenant_id="ten1") if which else client).emit(numbered, which)


async def by_command(client: Client, which: int) -> None:
    await client.invoke(tell_more if which else tell, which)


async def by_failure(client: Client, which: int) -> None:
    if not which:
        await client.invoke(tell, 0)
    else:
        with pytest.raises(UnhandledError):
            await client.invoke(fail, which)


async def by_both(client: Client, which: int) -> None:
    for tenant, principal in [("ten1", "user2"), ("ten2", "user1")] if not which else [("ten1", "user1")]:
        await client.acting(tenant_id=tenant, principal_id=principal).emit(numbered, which)


Act = Callable[[Client, int], Awaitable[None]]
FILTERS: dict[str, tuple[dict[str, Any], Act]] = {
    "event": ({"event": numbered}, by_name),
    "event_name": ({"event_name": "numbered"}, by_name),
    "principal": ({"principal_id": "user1"}, by_principal),
    "principal exactly": ({"principal_id": "userA"}, by_principal_case),
    "tenant": ({"tenant_id": "ten1"}, by_tenant),
    "tenant and not none": ({"event": numbered, "tenant_id": "ten1"}, by_tenant_or_none),
    "principal and tenant": ({"principal_id": "user1", "tenant_id": "ten1"}, by_both),
    "sender service": ({"event": numbered, "sender": {"service": "Beta"}}, by_command),
    "sender version": ({"event": numbered, "sender": {"version": "2"}}, by_command),
    "sender target": ({"event": numbered, "sender": {"target": "tellMore"}}, by_command),
    "sender whole": (
        {"event": numbered, "sender": {"service": "Beta", "version": "2", "target": "tellMore"}},
        by_command,
    ),
    "receiver service": ({"message_type": "command", "receiver": {"service": "Beta"}}, by_command),
    "receiver version": ({"message_type": "command", "receiver": {"version": "2"}}, by_command),
    "receiver target": ({"message_type": "command", "receiver": {"target": "tellMore"}}, by_command),
    "message type": ({"message_type": "commandErrorResponse", "sender": {"service": "Beta"}}, by_failure),
    "success response": ({"message_type": "commandSuccessResponse", "sender": {"service": "Beta"}}, by_command),
    "success event": ({"event": done, "sender": {"service": "Beta"}}, by_command),
}


@pytest.mark.anyio
class FilterCases:
    @pytest.mark.parametrize("name", FILTERS)
    async def test_by_field(self, harness: Harness, name: str) -> None:
        wanted, act = FILTERS[name]
        wanted = dict(wanted)
        event = wanted.pop("event", None)
        got: Inbox[Any] = Inbox()
        watch = Service("Watch")

        @watch.subscription(*([event] if event else []), **wanted)
        async def on(ctx: Context, payload: Any) -> None:
            got.put(payload)

        async with harness.serve(alpha, beta, watch) as client:
            await act(client, 0)  # what must not come goes first
            await act(client, 1)
            await got.wait(1)
        passed = got.items
        assert len(passed) == 1, "only what passes the filter comes"
        if wanted.get("message_type") == "commandErrorResponse":
            assert passed[0]["status"] == 500
        else:
            assert passed == [1]

    async def test_by_instance(self, harness: Harness) -> None:
        here: Inbox[int] = Inbox()
        there: Inbox[int] = Inbox()
        watch = Service("Watch")

        @watch.subscription(numbered, sender={"instance": "node_a"})
        async def on_here(ctx: Context, payload: int) -> None:
            here.put(payload)

        @watch.subscription(numbered, sender={"instance": "node_b"})
        async def on_there(ctx: Context, payload: int) -> None:
            there.put(payload)

        @watch.subscription(message_type="command", receiver={"instance": "node_a"})
        async def on_command(ctx: Context, payload: int) -> None:
            here.put(payload)

        async with harness.serve(alpha, watch, bridge={"instance_id": "node_a"}) as client:
            assert client.instance_id == "node_a"
            await client.emit(numbered, 1)
            assert await here.wait(1) == [1]
            await client.invoke(tell.using(instance_id="node_a"), 2)
            assert sorted(await here.wait(3)) == [1, 2, 2]
        assert there.items == []

    async def test_a_command_that_stands_for_an_event(self, harness: Harness) -> None:
        named: Inbox[Any] = Inbox()
        typed: Inbox[Any] = Inbox()
        watch = Service("Watch")

        @watch.subscription(event_name="asked")
        async def on_name(ctx: Context, payload: Any) -> None:
            named.put((ctx.message.message_type, payload))

        @watch.subscription(Event("asked", int))
        async def on_event(ctx: Context, payload: int) -> None:
            typed.put((ctx.message.message_type, payload))

        async with harness.serve(alpha, watch) as client:
            await client.invoke(tell.using(event_name="asked"), 1)
            await client.emit("asked", 2)
            await typed.wait(1)
            await named.wait(2)
        assert sorted(named.items) == [("command", 1), ("customMessage", 2)]
        assert typed.items == [("customMessage", 2)], "an event is no command"

    async def test_info_messages(self, harness: Harness) -> None:
        ready: Inbox[str] = Inbox()
        added: Inbox[Any] = Inbox()
        watch = Service("Watch")

        @watch.subscription(message_type="infoServiceReady")
        async def on_ready(ctx: Context) -> None:
            ready.put(ctx.message.sender.service_name)

        @watch.subscription(message_type="infoServiceFunctionAdded", sender={"service": "Alpha"})
        async def on_added(ctx: Context, payload: Any) -> None:
            added.put((ctx.message.sender.service_target, payload["expose"]["inputPayload"]))

        async with harness.serve(alpha, beta, watch):
            assert sorted(await ready.wait(3)) == ["Alpha", "Beta", "Watch"]
            assert await added.wait(1) == [("tell", {"type": "integer"})]

    async def test_everything_about_one_tenant(self, harness: Harness) -> None:
        got: Inbox[str] = Inbox()
        watch = Service("Watch")

        @watch.subscription(tenant_id="ten1")
        async def on(ctx: Context, payload: Any) -> None:
            got.put(ctx.message.message_type)

        async with harness.serve(alpha, watch) as client:
            await client.acting(tenant_id="ten2").invoke(tell, 1)
            await client.acting(tenant_id="ten1").invoke(tell, 1)
            await client.acting(tenant_id="ten1").emit(anything, {"a": 1})
            await got.wait(4)
        assert sorted(got.items) == ["command", "commandSuccessResponse", "customMessage", "customMessage"]
