"""Starting and stopping, timers, and listening from outside."""

import logging
from typing import Any

import anyio
import pytest
from anyio import from_thread

from purista_fast import App, ConfigError, Context, DefinitionError, Service, UnhandledError
from tests.contract.harness import Harness
from tests.contract.helpers import Gate, Inbox, Stored, anything, eventually, numbered, reading_stored


def ping_service(name: str) -> Service:
    service = Service(name)

    @service.command
    async def ping(ctx: Context) -> str:
        return name

    return service


@pytest.mark.anyio
class StopCases:
    async def test_what_is_under_way_is_finished(self, harness: Harness) -> None:
        watch = Service("Watch")
        entered = anyio.Event()
        finished: list[int] = []

        @watch.subscription(numbered)
        async def on(ctx: Context, payload: int) -> None:
            entered.set()
            await anyio.sleep(0.01)
            finished.append(payload)

        async with harness.serve(watch) as client:
            await client.emit(numbered, 1)
            await client.emit(numbered, 2)
            await entered.wait()
        assert finished[0] == 1
        assert finished == [1, 2] or not harness.reaches_the_handler, "here nobody else keeps what waits"

    async def test_a_handler_may_invoke_and_emit_while_the_application_drains(self, harness: Harness) -> None:
        service = Service("Slow")
        entered = anyio.Event()
        finished: list[Any] = []

        @service.command
        async def work(ctx: Context) -> str:
            return "worked"

        @service.subscription(numbered)
        async def on(ctx: Context, payload: int) -> None:
            entered.set()
            await anyio.sleep(0.02)
            finished.append(await ctx.invoke(work))
            await ctx.emit(anything, 1)
            finished.append("emitted")

        async with harness.serve(service) as client:
            await client.emit(numbered, 1)
            await entered.wait()
        assert finished == ["worked", "emitted"]

    async def test_what_takes_too_long_is_reported(self, harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
        watch = Service("Watch")
        gate = Gate()

        @watch.subscription(numbered)
        async def on(ctx: Context, payload: int) -> None:
            await gate(payload)

        async with harness.serve(watch, app={"drain_timeout": 0.05}) as client:
            await client.emit(numbered, 1)
            await client.emit(numbered, 2)
            await gate.entered.wait(1)
        assert gate.left.items == ["cancelled"]
        reports = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
        assert any("messages unfinished after 0.05 s" in report for report in reports), reports

    async def test_afterwards_there_is_503(self, harness: Harness) -> None:
        service = ping_service("Ping")
        async with harness.serve(service) as client:
            assert await client.invoke(service.commands["ping"]) == "Ping"
        with pytest.raises(UnhandledError) as caught:
            await client.invoke(service.commands["ping"])
        assert caught.value.status == 503

    async def test_an_error_in_the_block_comes_out_as_it_is(self, harness: Harness) -> None:
        with pytest.raises(ZeroDivisionError):
            async with harness.serve(ping_service("Ping")):
                raise ZeroDivisionError

    async def test_a_cancelled_block_stops_as_well(self, harness: Harness) -> None:
        watch = Service("Watch")
        entered = anyio.Event()
        finished: list[int] = []

        @watch.subscription(numbered)
        async def on(ctx: Context, payload: int) -> None:
            entered.set()
            await anyio.sleep(0.02)
            finished.append(payload)

        with anyio.CancelScope() as scope:
            async with harness.serve(watch) as client:
                await client.emit(numbered, 1)
                await entered.wait()
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught
        assert finished == [1]

    async def test_an_application_can_be_served_again(self, harness: Harness) -> None:
        service = ping_service("Ping")
        app = App(service)
        for _ in range(3):
            async with app.serve(overrides=harness.tree({})) as client:
                assert await client.invoke(service.commands["ping"]) == "Ping"

    async def test_only_the_services_that_are_enabled(self, harness: Harness) -> None:
        edge, cloud = ping_service("Edge"), ping_service("Cloud")
        async with harness.serve(edge, cloud, services={"enabled": ["Edge"]}) as client:
            assert await client.invoke(edge.commands["ping"]) == "Edge"
            with pytest.raises(UnhandledError) as caught:
                await client.invoke(cloud.commands["ping"].using(timeout=0.2))
            assert caught.value.status == harness.unknown_command
        with pytest.raises(ConfigError, match=r"services\.enabled: unknown Egde; this application has Cloud, Edge"):
            async with harness.serve(edge, cloud, services={"enabled": ["Egde"]}):
                pass

    async def test_two_services_of_one_name_and_version_are_refused(self, harness: Harness) -> None:
        with pytest.raises(DefinitionError, match="two services are called Ping/1"):
            App(ping_service("Ping"), ping_service("Ping"))
        newer = Service("Ping", version="2")
        async with harness.serve(ping_service("Ping"), newer):
            pass


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


@pytest.mark.anyio
class ListenCases:
    async def test_by_event_by_type_and_all(self, harness: Harness) -> None:
        service = ping_service("Ping")
        async with (
            harness.serve(service) as client,
            client.listen(reading_stored) as by_event,
            client.listen("readingStored") as by_name,
            client.listen(message_type="commandSuccessResponse") as by_type,
            client.listen() as everything,
        ):
            await client.invoke(service.commands["ping"])
            await client.emit(numbered, 1)
            await client.emit(reading_stored, Stored("a", 1))
            for messages in (by_event, by_name):
                message = await anext(messages)
                assert (message.event_name, message.payload) == ("readingStored", b'{"sensor":"a","count":1}')
            assert (await anext(by_type)).payload == b'"Ping"'
            found = [(await anext(everything)).message_type for _ in range(4)]
            assert sorted(found) == ["command", "commandSuccessResponse", "customMessage", "customMessage"]

    async def test_begins_and_ends_with_its_block(self, harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
        async with harness.serve(ping_service("Ping")) as client:
            await client.emit(numbered, 1)
            async with client.listen(numbered) as messages:
                await client.emit(numbered, 2)
                assert (await anext(messages)).payload == b"2"
            before = set(client.statistics()["subscriptions"])
            async with client.listen(numbered):
                for number in range(10):
                    await client.emit(numbered, number)  # nobody reads them
                await anyio.wait_all_tasks_blocked()
            await client.emit(numbered, 3)
            await eventually(lambda: set(client.statistics()["subscriptions"]) == before)
        assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []

    async def test_a_slow_reader_holds_nobody_up(self, harness: Harness) -> None:
        watch = Service("Watch")
        got: Inbox[int] = Inbox()

        @watch.subscription(numbered)
        async def on(ctx: Context, payload: int) -> None:
            got.put(payload)

        async with harness.serve(watch) as client, client.listen(numbered, buffer=2) as messages:
            for number in range(200):
                await client.emit(numbered, number)
            assert await got.wait(200) == list(range(200))
            numbers = [-1]
            while numbers[-1] != 199:
                numbers.append(int((await anext(messages)).payload or b""))
            assert numbers == sorted(numbers)
