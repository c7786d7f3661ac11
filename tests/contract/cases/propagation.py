"""What travels on from message to message by itself, and what does not."""

import hashlib
from typing import Any, NamedTuple

import pytest

from purista_fast import Context, Event, Message, Service
from tests.contract.harness import Harness
from tests.contract.helpers import Inbox

started = Event("started", str)
followed = Event("followed", str)


class Seen(NamedTuple):
    where: str
    trace_id: str
    principal_id: str | None
    tenant_id: str | None
    traceparent_trace: str
    event_name: str | None
    sender: str


def seen(ctx: Context, where: str) -> Seen:
    message, sender = ctx.message, ctx.message.sender
    return Seen(
        where,
        ctx.trace_id,
        ctx.principal_id,
        ctx.tenant_id,
        (message.traceparent or "")[3:35],
        message.event_name,
        f"{sender.service_name}/{sender.service_version}/{sender.service_target}",
    )


def chain(inbox: Inbox[Seen]) -> tuple[Service, Any]:
    """outer invokes inner, which emits; a subscription follows, and its result is an event again."""
    service = Service("Chain")

    @service.command
    async def outer(ctx: Context) -> None:
        inbox.put(seen(ctx, "outer"))
        await ctx.invoke(inner)

    @service.command
    async def inner(ctx: Context) -> None:
        inbox.put(seen(ctx, "inner"))
        await ctx.emit(started, "go")

    @service.subscription(started, result_event=followed)
    async def follow(ctx: Context, payload: str) -> str:
        inbox.put(seen(ctx, "follow"))
        return payload

    @service.subscription(followed)
    async def last(ctx: Context, payload: str) -> None:
        inbox.put(seen(ctx, "last"))

    return service, outer


@pytest.mark.anyio
class PropagationCases:
    async def test_trace_principal_and_tenant_travel_on(self, harness: Harness) -> None:
        inbox: Inbox[Seen] = Inbox()
        service, outer = chain(inbox)
        async with harness.serve(service) as client:
            acting = client.acting(trace_id="f" * 32, principal_id="user-1", tenant_id="tenant-1")
            await acting.invoke(outer.using(event_name="asked"))
            steps = await inbox.wait(4)
        assert [step.where for step in steps] == ["outer", "inner", "follow", "last"]
        for step in steps:
            assert (step.trace_id, step.principal_id, step.tenant_id) == ("f" * 32, "user-1", "tenant-1")
        assert len({step.traceparent_trace for step in steps}) == 1, "one trace for those who follow W3C"

    async def test_nothing_else_does(self, harness: Harness) -> None:
        inbox: Inbox[Seen] = Inbox()
        service, outer = chain(inbox)
        async with harness.serve(service) as client:
            await client.invoke(outer.using(event_name="asked"))
            steps = await inbox.wait(4)
        assert [step.event_name for step in steps] == ["asked", None, "started", "followed"]
        senders = ["Client/1/client", "Chain/1/outer", "Chain/1/inner", "Chain/1/follow"]
        assert [step.sender for step in steps] == senders
        assert {(step.principal_id, step.tenant_id) for step in steps} == {(None, None)}
        assert len({step.trace_id for step in steps}) == 1, "a trace begins where none was given"
        assert len(steps[0].trace_id) == 32

    async def test_events_of_a_subscription_have_ids_that_follow_from_its_message(self, harness: Harness) -> None:
        """So whoever gets them again from a handler that is tried again knows them."""
        service = Service("Chain")
        causes: Inbox[Message] = Inbox()
        got: Inbox[Message] = Inbox()

        @service.subscription(Event("cause", int), result_event=Event("effect", int))
        async def react(ctx: Context, payload: int) -> int:
            causes.put(ctx.message)
            await ctx.emit("effect", 1)
            await ctx.emit("effect", 2)
            return 3

        @service.subscription(Event("effect", int))
        async def note(ctx: Context, payload: int) -> None:
            got.put(ctx.message)

        async with harness.serve(service) as client:
            await client.emit("cause", 0)
            messages = await got.wait(3)
            (cause,) = await causes.wait(1)
        texts = [f"customMessage {cause.id} cause Chain/1/react {n}" for n in (1, 2, 3)]
        ids = [hashlib.blake2b(text.encode(), digest_size=16).hexdigest() for text in texts]
        assert [message.id for message in messages] == ids
        assert len({message.id for message in messages}) == 3

    async def test_every_call_of_a_client_is_a_trace_of_its_own(self, harness: Harness) -> None:
        inbox: Inbox[Seen] = Inbox()
        service, outer = chain(inbox)
        async with harness.serve(service) as client:
            await client.invoke(outer)
            await client.invoke(outer)
            steps = await inbox.wait(8)
        assert len({step.trace_id for step in steps}) == 2

    async def test_messages_have_ids_and_times_of_their_own(self, harness: Harness) -> None:
        service = Service("Ids")
        messages: Inbox[Any] = Inbox()

        @service.command
        async def outer(ctx: Context) -> None:
            messages.put(ctx.message)
            await ctx.invoke(inner)

        @service.command
        async def inner(ctx: Context) -> None:
            messages.put(ctx.message)

        async with harness.serve(service) as client:
            await client.invoke(outer)
            first, second = await messages.wait(2)
        assert first.id != second.id
        for message in (first, second):
            assert message.message_type == "command"
            assert len(message.id) == 32
            assert message.timestamp > 1_600_000_000_000
            assert message.receiver.service_name == "Ids"
            assert message.sender.instance_id == client.instance_id

    async def test_acting_keeps_what_is_left_out(self, harness: Harness) -> None:
        service = Service("Who")

        @service.command
        async def who(ctx: Context) -> list[str | None]:
            return [ctx.principal_id, ctx.tenant_id]

        async with harness.serve(service) as client:
            tenant = client.acting(tenant_id="t")
            assert await tenant.acting(principal_id="p").invoke(who) == ["p", "t"]
            assert await tenant.invoke(who) == [None, "t"]
            assert await client.invoke(who) == [None, None]

    async def test_the_same_message_for_those_who_watch(self, harness: Harness) -> None:
        service = Service("Watched")
        watched: Inbox[Any] = Inbox()
        ran: Inbox[Any] = Inbox()

        @service.command
        async def work(ctx: Context) -> int:
            ran.put(ctx.message)
            return 1

        @service.subscription(message_type="command", receiver={"target": "work"})
        async def on_command(ctx: Context) -> None:
            watched.put(ctx.message)

        @service.subscription(message_type="commandSuccessResponse", sender={"target": "work"})
        async def on_response(ctx: Context) -> None:
            watched.put(ctx.message)

        async with harness.serve(service) as client:
            await client.invoke(work)
            messages = await watched.wait(2)
        command, response = sorted(messages, key=lambda message: message.message_type)
        assert command.id == response.id == ran.items[0].id, "a response repeats the id of its command"
        assert command.correlation_id == response.correlation_id == ran.items[0].correlation_id
        assert response.receiver.service_name == "Client"
