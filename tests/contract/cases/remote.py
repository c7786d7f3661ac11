"""Services in several processes: who gets what, and what reaches the other side."""

from typing import Any

import anyio
import pytest

from purista_fast import Context, Event, HandledError, Service, UnhandledError, connect, remote
from tests.contract.harness import Harness
from tests.contract.helpers import Inbox, eventually, numbered
from tests.contract.processes import peer

told = Event("told", int)
NUMBERED = {"on": {"event": "numbered"}}


@remote("Peer", "1")
async def whoami(ctx: Context) -> str: ...  # type: ignore[empty-body]


@remote("Peer", "1")
async def seen(ctx: Context, payload: int, *, by: int = 2) -> list[Any]: ...  # type: ignore[empty-body]


@remote("Peer", "1", name="seen")
async def seen_loosely(ctx: Context, payload: Any, *, by: Any = 2) -> list[Any]: ...  # type: ignore[empty-body]


@remote("Peer", "1")
async def refuse(ctx: Context, payload: bool) -> None: ...


@remote("Peer", "1")
async def ping_pong(ctx: Context, payload: int) -> int: ...  # type: ignore[empty-body]


@remote("Peer", "1")
async def hang(ctx: Context) -> None: ...


@remote("Peer", "1")
async def tell(ctx: Context, payload: int) -> None: ...


@pytest.mark.anyio
class ProcessCases:
    async def test_two_services_on_one_event_both_get_all_of_it(self, harness: Harness) -> None:
        async with (
            peer(harness, "First", listens=NUMBERED) as first,
            peer(harness, "Second", listens=NUMBERED, backend="trio") as second,
            connect(overrides=harness.tree({})) as client,
        ):
            for number in range(50):
                await client.emit(numbered, number)
            await first.said.wait(50)
            await second.said.wait(50)
        assert first.payloads("on") == second.payloads("on") == list(range(50))

    async def test_two_instances_of_one_service_share_it(self, harness: Harness) -> None:
        listens: dict[str, dict[str, Any]] = {
            "one": {"event": "numbered"},
            "each": {"event": "numbered", "shared": False},
        }
        async with (
            peer(harness, "Peer", listens=listens, state="a") as first,
            peer(harness, "Peer", listens=listens, state="b") as second,
            connect(overrides=harness.tree({})) as client,
        ):
            assert first.instance_id != second.instance_id
            for number in range(50):
                await client.emit(numbered, number)
            peers = (first, second)
            await eventually(lambda: sum(len(p.said.items) for p in peers) >= 150)
        shared = [p.payloads("one") for p in peers]
        assert sorted(shared[0] + shared[1]) == list(range(50)), "one of them gets it"
        assert all(shared), "each of them gets some"
        assert all(mine == sorted(mine) for mine in shared)
        assert [p.payloads("each") for p in peers] == [list(range(50))] * 2, "not shared, each of them gets all"

    async def test_two_instances_share_the_commands(self, harness: Harness) -> None:
        async with (
            peer(harness, "Peer", state="a") as first,
            peer(harness, "Peer", state="b") as second,
            connect(overrides=harness.tree({})) as client,
        ):
            ids = {first.instance_id, second.instance_id}
            assert {await client.invoke(whoami) for _ in range(20)} == ids
            for instance_id in ids:
                chosen = whoami.using(instance_id=instance_id)
                assert {await client.invoke(chosen) for _ in range(10)} == {instance_id}

    async def test_invocations_of_another_process(self, harness: Harness) -> None:
        async with peer(harness, "Peer"), connect(overrides=harness.tree({})) as client:
            acting = client.acting(trace_id="e" * 32, principal_id="p", tenant_id="t")
            assert await acting.invoke(seen, 2, by=4) == [8, "e" * 32, "p", "t", "Client"]
            with pytest.raises(HandledError) as handled:
                await client.invoke(refuse, True)
            assert (handled.value.status, handled.value.message, handled.value.data) == (409, "refused", [1])
            with pytest.raises(UnhandledError) as crashed:
                await client.invoke(refuse, False)
            assert (crashed.value.status, crashed.value.data) == (500, None)
            with pytest.raises(HandledError) as invalid:
                await client.invoke(seen_loosely, "x")
            assert (invalid.value.status, invalid.value.data[0]["path"]) == (400, [])

    async def test_back_and_forth_between_two(self, harness: Harness) -> None:
        here = Service("Main")

        @here.command
        async def countdown(ctx: Context, payload: int) -> int:
            return 1 + await ctx.invoke(ping_pong, payload - 1) if payload else 0

        async with peer(harness, "Peer"), harness.serve(here) as client:
            assert await client.invoke(countdown, 50) == 50

    async def test_events_of_another_process(self, harness: Harness) -> None:
        here = Service("Main")
        got: Inbox[Any] = Inbox()

        @here.subscription(told, sender={"service": "Peer"})
        async def on(ctx: Context, payload: int) -> None:
            got.put((payload, ctx.trace_id, ctx.tenant_id, ctx.message.sender.service_target))

        async with peer(harness, "Peer"), harness.serve(here) as client:
            await client.acting(trace_id="d" * 32, tenant_id="t").invoke(tell, 20)
            assert await got.wait(20) == [(number, "d" * 32, "t", "tell") for number in range(20)]

    async def test_a_process_that_dies_leaves_its_callers_a_504(self, harness: Harness) -> None:
        outcome: list[UnhandledError] = []
        async with peer(harness, "Peer") as dying, connect(overrides=harness.tree({})) as client:

            async def call() -> None:
                with pytest.raises(UnhandledError) as caught:
                    await client.invoke(hang.using(timeout=1.0))
                outcome.append(caught.value)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                await dying.said.wait(1)
                dying.process.kill()
        assert outcome[0].status == 504


@pytest.mark.anyio
class DurableCases:
    async def test_what_was_emitted_meanwhile_waits(self, harness: Harness) -> None:
        async def emit(first: int) -> None:
            async with connect(overrides=harness.tree({})) as client:
                for number in range(first, first + 20):
                    await client.emit(numbered, number)

        async with peer(harness, "Peer", listens=NUMBERED) as before:
            pass
        await emit(0)
        async with peer(harness, "Peer", listens=NUMBERED) as after:
            await after.said.wait(20)
            assert after.instance_id == before.instance_id, "made once and kept"
            await emit(20)
            await after.said.wait(40)
        assert after.payloads("on") == list(range(40))

    async def test_what_a_killed_process_had_not_finished_comes_again(self, harness: Harness) -> None:
        async with peer(harness, "Peer", listens=NUMBERED, hangs=True) as killed:
            async with connect(overrides=harness.tree({})) as client:
                for number in range(5):
                    await client.emit(numbered, number)
            await killed.said.wait(1)
            killed.process.kill()
        async with peer(harness, "Peer", listens=NUMBERED) as again:
            await again.said.wait(5)
        assert again.payloads("on") == list(range(5))

    async def test_a_changed_set_of_subscriptions(self, harness: Harness) -> None:
        kept, removed = {"kept": {"event": "keptEvent"}}, {"removed": {"event": "removedEvent"}}
        added = {"added": {"event": "addedEvent"}}
        async with peer(harness, "Peer", listens={**kept, **removed}):
            pass
        async with connect(overrides=harness.tree({})) as client:
            for number in range(5):
                for name in ("keptEvent", "removedEvent", "addedEvent"):
                    await client.emit(name, number)
        async with peer(harness, "Peer", listens={**kept, **added}) as running:
            await running.said.wait(5)
            async with connect(overrides=harness.tree({})) as client:
                before = client.statistics()["no_matching_subscribers"]
                await client.emit("removedEvent", 5)
                assert client.statistics()["no_matching_subscribers"] == before + 1, "nobody listens to it any more"
                for name in ("keptEvent", "addedEvent"):
                    await client.emit(name, 6)
                assert client.statistics()["no_matching_subscribers"] == before + 1
            await running.said.wait(7)
        assert running.payloads("kept") == [0, 1, 2, 3, 4, 6]
        assert running.payloads("added") == [6]
        assert running.payloads("removed") == []

    async def test_needs_are_met(self, harness: Harness) -> None:
        service = Service("Demanding")
        got: Inbox[int] = Inbox()

        @service.subscription(numbered, needs=["durable", "shared", "remote"])
        async def on(ctx: Context, payload: int) -> None:
            got.put(payload)

        async with harness.serve(service) as client:
            await client.emit(numbered, 1)
            await got.wait(1)


@pytest.mark.anyio
class NarrowCases:
    """Where one message may be under way to each session, and none more."""

    async def test_nested_invocations(self, harness: Harness) -> None:
        nest = Service("Nest")

        @nest.command
        async def depth(ctx: Context, payload: int) -> int:
            return 1 + await ctx.invoke(depth, payload - 1) if payload else 0

        async with harness.serve(nest) as client:
            assert await client.invoke(depth, 50) == 50

    async def test_handlers_of_events_that_wait_for_answers(self, harness: Harness) -> None:
        nest = Service("Nest")
        got: Inbox[int] = Inbox()

        @nest.command
        async def double(ctx: Context, payload: int) -> int:
            return payload * 2

        @nest.subscription(numbered, concurrency=20)
        async def on(ctx: Context, payload: int) -> None:
            doubled = await ctx.invoke(double, payload)
            await ctx.emit(told, doubled)

        @nest.subscription(told)
        async def on_told(ctx: Context, payload: int) -> None:
            got.put(payload)

        async with harness.serve(nest) as client:
            for number in range(40):
                await client.emit(numbered, number)
            assert sorted(await got.wait(40)) == [number * 2 for number in range(40)]

    async def test_many_at_the_same_time(self, harness: Harness) -> None:
        nest = Service("Nest")
        found: list[int] = []

        @nest.command
        async def double(ctx: Context, payload: int) -> int:
            return payload * 2

        async with harness.serve(nest) as client, anyio.create_task_group() as tasks:

            async def call(number: int) -> None:
                found.append(await client.invoke(double, number))

            for number in range(100):
                tasks.start_soon(call, number)
        assert sorted(found) == [number * 2 for number in range(100)]
