"""Handlers that run by the clock."""

import time
from typing import Any

import anyio
import pytest
from anyio import from_thread
from msgspec import Struct

from purista_fast import ConfigError, Context, Service, timers_kept
from tests.contract.harness import Harness
from tests.contract.helpers import PATIENCE, Inbox, numbered


class Pace(Struct):
    interval: float


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

    async def test_the_configuration_says_how_often(self, harness: Harness) -> None:
        clock = Service("Clock", config=Pace)
        ticks: Inbox[int] = Inbox()

        @clock.every(lambda pace: pace.interval, jitter=0.001)
        async def tick(ctx: Context[Pace]) -> None:
            ticks.put(1)

        async with harness.serve(clock, config={"Clock": {"interval": "10ms"}}):
            await ticks.wait(3)
        with pytest.raises(
            ConfigError, match="Clock/1/tick: by its configuration the interval must be above 0 seconds"
        ):
            async with harness.serve(clock, config={"Clock": {"interval": 0}}):
                pass

    async def test_the_calendar(self, harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = Service("Clock")
        nights: Inbox[str] = Inbox()

        @clock.cron("0 3 * * *", timezone="Europe/Berlin", missed="run_once")
        async def nightly(ctx: Context) -> None:
            nights.put(ctx.trace_id)

        monkeypatch.setattr(timers_kept, "_LOOK", 0.01)
        offset = 0.0
        monkeypatch.setattr(timers_kept.Clocks, "wall", lambda _: time.time() + offset)
        async with harness.serve(clock) as client:
            with anyio.fail_after(PATIENCE):
                while await client.states.of(":").get("Clock/1/nightly") is None:  # noqa: ASYNC110 - a store tells nobody
                    await anyio.sleep(0.01)
            assert nights.items == []
            for night in (1, 2):
                offset = night * 86400.0
                assert len(await nights.wait(night)) == night

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
