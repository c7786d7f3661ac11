"""Starting and stopping: what is finished, what is reported, what is refused."""

import logging
from typing import Any

import anyio
import pytest

from purista_fast import App, ConfigError, Context, DefinitionError, Service, UnhandledError
from tests.contract.harness import Harness
from tests.contract.helpers import Gate, anything, numbered


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
