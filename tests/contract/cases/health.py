"""How an application is."""

import anyio
import pytest

from purista_fast import App, BridgeError, Context, HandledError, Service, UnhandledError
from purista_fast.health import health
from tests.contract.harness import Harness
from tests.contract.helpers import eventually, numbered


@pytest.mark.anyio
class HealthCases:
    async def test_it_counts_what_happens(self, harness: Harness) -> None:
        service = Service("Watch")
        entered, go_on = anyio.Event(), anyio.Event()

        @service.command
        async def crash(ctx: Context) -> None:
            raise ValueError("secret detail")

        @service.command
        async def refuse(ctx: Context) -> None:
            raise HandledError(400, "no")

        @service.command
        async def work(ctx: Context) -> None:
            entered.set()
            await go_on.wait()

        @service.subscription(numbered)
        async def on(ctx: Context, payload: int) -> None: ...

        async with harness.serve(service) as client:
            with pytest.raises(UnhandledError):
                await client.invoke(crash)
            with pytest.raises(HandledError):
                await client.invoke(refuse)
            await client.emit(numbered, 1)
            await eventually(lambda: client.health().queues["Watch/1/on"].handled == 1)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.invoke, work)
                await entered.wait()
                found = await client.invoke(health.using(instance_id=client.instance_id))
                assert found.commands_running == 1
                go_on.set()
            assert (found.instance_id, found.app) == (client.instance_id, "Watch")
            assert found.connected
            assert found.up_for > 0
            assert found.handler_errors == {"Watch/1/crash": 1}
            assert client.health().commands_running == 0
            assert found.bridge == harness.url

    async def test_it_is_no_service(self, harness: Harness) -> None:
        service = Service("Watch")

        @service.command
        async def work(ctx: Context) -> None: ...

        async with harness.serve(service) as client:
            (found,) = await client.alive(0.5)
            assert found.services == [("Watch", "1")]
            assert (await client.invoke(health)).app == "Watch", "without an id some instance answers"

    async def test_it_answers_while_the_application_drains(self, harness: Harness) -> None:
        service = Service("Watch")
        entered, done = anyio.Event(), anyio.Event()
        answers: list[str] = []

        @service.subscription(numbered)
        async def on(ctx: Context, payload: int) -> None:
            entered.set()
            await done.wait()
            answers.append((await ctx.invoke(health)).app)

        async with anyio.create_task_group() as tasks:

            async def run() -> None:
                async with harness.serve(service) as client:
                    await client.emit(numbered, 1)
                    await entered.wait()

            tasks.start_soon(run)
            await entered.wait()
            await anyio.wait_all_tasks_blocked()
            done.set()
        assert answers == ["Watch"]

    async def test_an_application_that_does_not_run_has_none(self, harness: Harness) -> None:
        service = Service("Watch")
        app = App(service)
        with pytest.raises(BridgeError, match="Watch does not run"):
            app.health()
        async with app.serve(overrides=harness.tree({})) as client:
            assert app.health().instance_id == client.instance_id
            async with app.serve(bridge="memory://"):
                with pytest.raises(BridgeError, match=r"runs 2 times .*client\.health"):
                    app.health()
        with pytest.raises(BridgeError, match="does not run"):
            app.health()
