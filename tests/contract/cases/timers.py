"""Handlers that run by the clock."""

from typing import Any

import anyio
import pytest
from anyio import from_thread

from purista_fast import Context, Service
from tests.contract.harness import Harness
from tests.contract.helpers import Inbox, numbered


@pytest.mark.anyio
class TimerCases:
    async def test_runs_while_the_application_does(self, harness: Harness) -> None:
        clock = Service("Clock")
        ticks: Inbox[Any] = Inbox()

        @clock.every(0.01)
        async def tick(ctx: Context) -> None:
            ticks.put(ctx.trace_id)

        async with harness.serve(clock):
            await ticks.wait(3)
        seen = len(ticks.items)
        await anyio.wait_all_tasks_blocked()
        assert len(ticks.items) == seen
        assert len(set(ticks.items)) == seen, "every run is a trace of its own"

    async def test_may_invoke_and_emit(self, harness: Harness) -> None:
        clock = Service("Clock")
        got: Inbox[int] = Inbox()

        @clock.command
        async def now(ctx: Context) -> int:
            return 7

        @clock.every(0.01)
        async def tick(ctx: Context) -> None:
            await ctx.emit(numbered, await ctx.invoke(now))

        @clock.subscription(numbered)
        async def on(ctx: Context, payload: int) -> None:
            got.put(payload)

        async with harness.serve(clock):
            assert (await got.wait(2))[:2] == [7, 7]

    async def test_never_overlaps_itself(self, harness: Harness) -> None:
        clock = Service("Clock")
        ends: Inbox[int] = Inbox()
        running = most = 0

        @clock.every(0.005)
        async def tick(ctx: Context) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await anyio.sleep(0.02)
            running -= 1
            ends.put(1)

        async with harness.serve(clock):
            await ends.wait(4)
        assert most == 1

    async def test_an_error_is_logged_and_it_goes_on(self, harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
        clock = Service("Clock")
        ticks: Inbox[int] = Inbox()

        @clock.every(0.01)
        def tick(ctx: Context) -> None:
            from_thread.run_sync(ticks.put, 1)
            raise RuntimeError("out of time")

        async with harness.serve(clock):
            await ticks.wait(3)
        assert "Clock/1/tick: the timer's run failed" in caplog.text
        assert "out of time" in caplog.text
