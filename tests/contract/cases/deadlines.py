"""Time-outs, cancellation and the event loop's own scopes around invocations."""

import asyncio
from typing import Any

import anyio
import pytest

from purista_fast import Context, HandledError, Service, StatusCode, UnhandledError
from tests.contract.harness import Harness
from tests.contract.helpers import Gate, Inbox, eventually

SOON = 0.05
"""Seconds after which a test gives up on what never comes."""


def held(gate: Gate) -> tuple[Service, Any]:
    """A service with a command that is held back by a gate, and one that answers."""
    service = Service("Held")

    @service.command
    async def slow(ctx: Context, payload: int) -> int:
        await gate(payload)
        return payload

    @service.command
    async def quick(ctx: Context) -> str:
        return "here"

    return service, slow


@pytest.mark.anyio
class DeadlineCases:
    async def test_no_answer_in_time_is_504(self, harness: Harness) -> None:
        gate = Gate()
        service, slow = held(gate)
        async with harness.serve(service) as client:
            began = anyio.current_time()
            with pytest.raises(UnhandledError) as caught:
                await client.acting(trace_id="trace-1").invoke(slow.using(timeout=SOON), 1)
            assert (caught.value.status, caught.value.trace_id) == (StatusCode.GATEWAY_TIMEOUT, "trace-1")
            assert SOON * 0.9 <= anyio.current_time() - began < 5
            await self._came_to_its_end(harness, gate)

    async def test_the_default_timeout_is_a_setting(self, harness: Harness) -> None:
        gate = Gate()
        service, slow = held(gate)
        async with harness.serve(service, bridge={"command_timeout": SOON}) as client:
            with pytest.raises(UnhandledError) as caught:
                await client.invoke(slow, 1)
            assert caught.value.status == 504
            gate.open()

    async def test_a_cancelled_caller_gets_nothing_and_all_goes_on(self, harness: Harness) -> None:
        gate = Gate()
        service, slow = held(gate)
        async with harness.serve(service) as client:

            async def call() -> None:
                await client.invoke(slow, 1)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call)
                await gate.entered.wait(1)
                tasks.cancel_scope.cancel()
            await self._came_to_its_end(harness, gate)
            assert await client.invoke(service.commands["quick"]) == "here"

    async def test_a_scope_around_an_invocation_in_a_handler(self, harness: Harness) -> None:
        gate = Gate()
        service, slow = held(gate)
        outer = Service("Outer")

        @outer.command
        async def impatient(ctx: Context) -> str:
            try:
                with anyio.fail_after(SOON):
                    await ctx.invoke(slow, 1)
            except TimeoutError:
                return "gave up"
            return "not reached"

        async with harness.serve(service, outer) as client:
            assert await client.invoke(impatient) == "gave up"
            await self._came_to_its_end(harness, gate)

    async def test_the_loop_s_own_timeout_around_an_invocation(self, harness: Harness, anyio_backend_name: str) -> None:
        gate = Gate()
        service, slow = held(gate)
        outer = Service("Outer")

        @outer.command
        async def impatient(ctx: Context) -> str:
            try:
                if anyio_backend_name == "asyncio":
                    async with asyncio.timeout(SOON):
                        await ctx.invoke(slow, 1)
                else:
                    import trio

                    with trio.fail_after(SOON):
                        await ctx.invoke(slow, 1)
            except (TimeoutError, trio_too_slow()):
                return "gave up"
            return "not reached"

        async with harness.serve(service, outer) as client:
            assert await client.invoke(impatient) == "gave up"
            await self._came_to_its_end(harness, gate)

    async def test_scopes_inside_a_handler_are_its_own(self, harness: Harness) -> None:
        scoped = Service("Scoped")

        @scoped.command
        async def hasty(ctx: Context) -> str:
            with anyio.move_on_after(SOON) as scope:
                await anyio.sleep_forever()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.sleep_forever)
                tasks.cancel_scope.cancel()
            return f"cancelled: {scope.cancelled_caught}"

        async with harness.serve(scoped) as client:
            assert await client.invoke(hasty.using(timeout=5)) == "cancelled: True"

    async def test_the_deadline_of_the_outer_one_counts_for_the_inner(self, harness: Harness) -> None:
        gate = Gate()
        service, slow = held(gate)
        outer = Service("Outer")

        @outer.command
        async def patient(ctx: Context) -> int:
            return await ctx.invoke(slow.using(timeout=20), 1)

        async with harness.serve(service, outer) as client:
            with pytest.raises(UnhandledError) as caught:
                await client.invoke(patient.using(timeout=SOON))
            assert caught.value.status == 504
            await self._came_to_its_end(harness, gate)

    async def test_the_inner_deadline_is_the_handler_s_to_handle(self, harness: Harness) -> None:
        gate = Gate()
        service, slow = held(gate)
        outer = Service("Outer")

        @outer.command
        async def careful(ctx: Context) -> int:
            try:
                return await ctx.invoke(slow.using(timeout=SOON), 1)
            except UnhandledError as error:
                raise HandledError(StatusCode.SERVICE_UNAVAILABLE, "later", int(error.status)) from error

        async with harness.serve(service, outer) as client:
            with pytest.raises(HandledError) as caught:
                await client.invoke(careful)
            assert (caught.value.status, caught.value.data) == (503, 504)
            gate.open()

    async def test_a_timeout_is_told_to_those_who_listen(self, harness: Harness) -> None:
        gate = Gate()
        service, slow = held(gate)
        watch = Service("Watch")
        told: Inbox[Any] = Inbox()

        @watch.subscription(message_type="infoInvokeTimeout")
        async def on(ctx: Context, payload: Any) -> None:
            told.put(payload["receiver"]["serviceTarget"])

        async with harness.serve(service, watch) as client:
            with pytest.raises(UnhandledError):
                await client.invoke(slow.using(timeout=SOON), 1)
            assert await told.wait(1) == ["slow"]
            gate.open()

    @pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan")])
    async def test_an_impossible_timeout_is_refused(self, harness: Harness, timeout: float) -> None:
        _, slow = held(Gate())
        with pytest.raises(ValueError, match="timeout must be above 0"):
            slow.using(timeout=timeout)

    async def _came_to_its_end(self, harness: Harness, gate: Gate) -> None:
        """The handler was cancelled where the bridge can, and else runs on to its end."""
        if harness.reaches_the_handler:
            assert await gate.left.wait(1) == ["cancelled"]
        else:
            await gate.entered.wait(1)
            assert gate.left.items == []
            gate.open()
            assert await gate.left.wait(1) == ["passed"]


@pytest.mark.anyio
class LateAnswerCases:
    """Where the handler runs on after the caller has given up."""

    async def test_a_late_answer_is_counted_and_ignored(self, harness: Harness) -> None:
        gate = Gate()
        service, slow = held(gate)
        async with harness.serve(service) as client:
            with pytest.raises(UnhandledError):
                await client.invoke(slow.using(timeout=SOON), 1)
            await gate.entered.wait(1)
            gate.open()
            await eventually(lambda: client.statistics()["late_answers"] == 1)
            assert await client.invoke(service.commands["quick"]) == "here"


def trio_too_slow() -> type[BaseException]:
    import trio

    return trio.TooSlowError
