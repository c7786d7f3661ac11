"""Full queues: where this process alone decides who waits (memory://)."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from purista_fast import Context, Event, Service, UnhandledError
from tests.contract.harness import Harness
from tests.contract.helpers import Gate, Inbox, eventually, numbered

there = Event("there", int)
back = Event("back", int)


@pytest.mark.anyio
class BoundsCases:
    async def test_into_all_queues_or_into_none(self, harness: Harness) -> None:
        watch = Service("Watch")
        gate = Gate()
        got: Inbox[int] = Inbox()
        emitted: list[int] = []

        @watch.subscription(numbered, queue_size=1)
        async def narrow(ctx: Context, payload: int) -> None:
            await gate(payload)

        @watch.subscription(numbered)
        async def wide(ctx: Context, payload: int) -> None:
            got.put(payload)

        async with harness.serve(watch) as client, anyio.create_task_group() as tasks:

            async def emit() -> None:
                for number in range(5):
                    await client.emit(numbered, number)
                    emitted.append(number)

            await client.emit(numbered, -1)
            await gate.entered.wait(1)
            tasks.start_soon(emit)
            await got.wait(2)
            await anyio.wait_all_tasks_blocked()
            # -1 is being handled, 0 waits in the narrow queue; 1 finds no room there, so nobody has it.
            assert (emitted, got.items) == ([0], [-1, 0])
            gate.open()
            assert await got.wait(6) == [-1, 0, 1, 2, 3, 4]
            assert await gate.left.wait(6) == ["passed"] * 6

    async def test_a_cancelled_emitter_leaves_nothing_behind(self, harness: Harness) -> None:
        watch = Service("Watch")
        gate = Gate()

        @watch.subscription(numbered, queue_size=1)
        async def on(ctx: Context, payload: int) -> None:
            await gate(payload)

        async with harness.serve(watch) as client:
            await client.emit(numbered, 0)
            await gate.entered.wait(1)
            await client.emit(numbered, 1)
            with anyio.move_on_after(0.02) as scope:
                await client.emit(numbered, 2)
            assert scope.cancelled_caught
            gate.open()
            await client.emit(numbered, 3)
            assert await gate.entered.wait(3) == [0, 1, 3]

    async def test_an_emitter_that_is_cancelled_as_it_is_woken_passes_the_room_on(
        self, harness: Harness, anyio_backend_name: str
    ) -> None:
        watch = Service("Watch")
        gate = Gate()
        cancel: list[Callable[[], object]] = []
        got: Inbox[int] = Inbox()

        @watch.subscription(numbered, queue_size=1)
        async def on(ctx: Context, payload: int) -> None:
            got.put(payload)
            if payload == 1:
                cancel[0]()  # taking 1 has just woken the emitter of 2
            await gate()

        async with harness.serve(watch) as client, anyio.create_task_group() as tasks:

            async def emit(number: int) -> None:
                await client.emit(numbered, number)

            async def emit_in_scope(number: int) -> None:
                with anyio.CancelScope() as scope:
                    cancel.append(scope.cancel)
                    await client.emit(numbered, number)

            await client.emit(numbered, 0)
            await gate.entered.wait(1)
            await client.emit(numbered, 1)
            if anyio_backend_name == "asyncio":
                first = asyncio.create_task(emit(2))
                cancel.append(first.cancel)
            else:
                tasks.start_soon(emit_in_scope, 2)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(emit, 3)
            await anyio.wait_all_tasks_blocked()
            gate.open()
            await eventually(lambda: 3 in got.items)
        assert [number for number in got.items if number != 2] == [0, 1, 3]

    async def test_an_emit_in_a_handler_gives_up(self, harness: Harness) -> None:
        watch, source = Service("Watch"), Service("Source")
        gate = Gate()

        @watch.subscription(numbered, queue_size=1)
        async def on(ctx: Context, payload: int) -> None:
            await gate(payload)

        @source.command
        async def emit(ctx: Context) -> str:
            try:
                await ctx.emit(numbered, 2)
            except UnhandledError as error:
                return f"{int(error.status)} {error.message}"
            return "not reached"

        async with harness.serve(watch, source, bridge={"queue_timeout": 0.05}) as client:
            await client.emit(numbered, 0)
            await gate.entered.wait(1)
            await client.emit(numbered, 1)
            assert await client.invoke(emit) == "503 no room in the queue of Watch/1/on for 0.05 s"
            gate.open()

    async def test_a_cycle_of_full_queues_ends_in_an_error(
        self, harness: Harness, caplog: pytest.LogCaptureFixture
    ) -> None:
        ring = Service("Ring")
        handled: Inbox[int] = Inbox()

        @ring.subscription(there, queue_size=1)
        async def forth(ctx: Context, payload: int) -> None:
            handled.put(payload)
            for _ in range(3):
                await ctx.emit(back, payload + 1)

        @ring.subscription(back, queue_size=1)
        async def and_back(ctx: Context, payload: int) -> None:
            handled.put(payload)
            if payload < 2:
                for _ in range(3):
                    await ctx.emit(there, payload + 1)

        @ring.command
        async def alive(ctx: Context) -> bool:
            return True

        settings = {"bridge": {"queue_timeout": 0.02}, "app": {"drain_timeout": 5.0}}
        async with harness.serve(ring, **settings) as client:
            await client.emit(there, 0)
            await eventually(lambda: "503 no room in the queue of Ring/1/" in caplog.text)
            assert await client.invoke(alive)

            def unfinished() -> int:
                counters = client.statistics()["subscriptions"].values()
                return sum(counter["waiting"] + counter["running"] for counter in counters)

            await eventually(lambda: not unfinished())
        assert max(handled.items) <= 3

    async def test_telemetry_drops_the_oldest_and_counts(self, harness: Harness) -> None:
        watch = Service("Watch")
        gate = Gate()

        @watch.subscription(numbered, queue_size=5, overflow="drop_oldest")
        async def on(ctx: Context, payload: int) -> None:
            await gate(payload)

        async with harness.serve(watch) as client:
            await client.emit(numbered, -1)
            await gate.entered.wait(1)
            for number in range(20):
                await client.emit(numbered, number)
            assert client.statistics()["subscriptions"]["Watch/1/on"] == {
                "waiting": 5,
                "running": 1,
                "handled": 0,
                "dropped": 15,
            }
            gate.open()
            assert await gate.entered.wait(6) == [-1, 15, 16, 17, 18, 19]

    async def test_a_success_event_without_room_changes_no_answer(
        self, harness: Harness, caplog: pytest.LogCaptureFixture
    ) -> None:
        thermo = Service("Thermo")
        gate = Gate()

        @thermo.command(success_event=numbered)
        async def store(ctx: Context, payload: int) -> int:
            return payload

        @thermo.subscription(numbered, queue_size=1)
        async def on(ctx: Context, payload: Any) -> None:
            await gate(payload)

        async with harness.serve(thermo, bridge={"queue_timeout": 0.02}) as client:
            assert await client.invoke(store, 0) == 0
            await gate.entered.wait(1)
            assert await client.invoke(store, 1) == 1
            assert await client.invoke(store, 2) == 2
            assert client.statistics()["lost_success_events"] == 1
            assert any(r.levelno == logging.ERROR and "was not queued" in r.getMessage() for r in caplog.records)
            gate.open()
            assert await gate.left.wait(2) == ["passed", "passed"]
