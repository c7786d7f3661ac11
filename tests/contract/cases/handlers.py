"""What a handler may rely on: payloads of its own, configuration and resources."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from msgspec import Struct

from purista_fast import ConfigError, Context, HandledError, Service, StatusCode
from tests.contract.harness import Harness
from tests.contract.helpers import Inbox, anything, numbered


class Limits(Struct):
    limit: float = 30.0
    wait: float = 1.0


@pytest.mark.anyio
class IsolationCases:
    async def test_a_payload_is_the_handler_s_own(self, harness: Harness) -> None:
        service = Service("Greedy")
        kept: list[Any] = []

        @service.command
        async def eat(ctx: Context, payload: dict[str, list[int]], *, more: list[int]) -> Any:
            payload["a"].append(2)
            more.clear()
            kept.append(payload)
            return payload

        async with harness.serve(service) as client:
            mine, more = {"a": [1]}, [3]
            result = await client.invoke(eat, mine, more=more)
            assert (mine, more) == ({"a": [1]}, [3])
            result["a"].clear()
            assert kept == [{"a": [1, 2]}]

    async def test_each_subscription_has_its_own(self, harness: Harness) -> None:
        service = Service("Greedy")
        got: Inbox[Any] = Inbox()

        def add(name: str) -> None:
            @service.subscription(anything, name=name)
            async def on(ctx: Context, payload: Any) -> None:
                payload.append(name)
                got.put(payload)

        add("first")
        add("second")
        async with harness.serve(service) as client:
            mine: list[str] = []
            await client.emit(anything, mine)
            assert sorted(await got.wait(2)) == [["first"], ["second"]]
            assert mine == []

    async def test_the_data_of_an_error_is_the_caller_s_own(self, harness: Harness) -> None:
        service = Service("Refusing")
        data = {"why": ["cold"]}

        @service.command
        async def refuse(ctx: Context) -> None:
            raise HandledError(StatusCode.CONFLICT, "no", data)

        async with harness.serve(service) as client:
            with pytest.raises(HandledError) as caught:
                await client.invoke(refuse)
            caught.value.data["why"].clear()
            assert data == {"why": ["cold"]}


@pytest.mark.anyio
class ConfigCases:
    async def test_typed_configuration(self, harness: Harness) -> None:
        thermo = Service("Thermo", config=Limits)

        @thermo.command
        async def limits(ctx: Context[Limits]) -> list[float]:
            return [ctx.config.limit, ctx.config.wait]

        async with harness.serve(thermo) as client:
            assert await client.invoke(limits) == [30.0, 1.0]
        async with harness.serve(thermo, config={"Thermo": {"limit": 5, "wait": "500ms"}}) as client:
            assert await client.invoke(limits) == [5.0, 0.5]

    async def test_versions_of_a_service_have_configurations_of_their_own(self, harness: Harness) -> None:
        old, new = Service("Thermo", config=Limits), Service("Thermo", version="2")

        @old.command
        async def limit(ctx: Context[Limits]) -> float:
            return ctx.config.limit

        @new.command
        async def nothing(ctx: Context) -> bool:
            return ctx.config is None

        async with harness.serve(old, new) as client:
            assert await client.invoke(limit) == 30.0
            assert await client.invoke(nothing)

    async def test_configuration_that_is_wrong(self, harness: Harness) -> None:
        thermo, plain = Service("Thermo", config=Limits), Service("Plain")
        with pytest.raises(ConfigError, match=r"config\.Thermo\.limit: Expected `float`, got `str`"):
            async with harness.serve(thermo, config={"Thermo": {"limit": "high"}}):
                pass
        with pytest.raises(ConfigError, match=r"config\.Plain: the service takes no configuration"):
            async with harness.serve(plain, config={"Plain": {"limit": 1}}):
                pass

    async def test_resources_are_open_as_long_as_handlers_run(self, harness: Harness) -> None:
        service = Service("Sensor")
        steps: list[str] = []
        entered = anyio.Event()

        @asynccontextmanager
        async def bus() -> AsyncIterator[str]:
            steps.append("opened")
            yield "bus"
            steps.append("closed")

        @service.command
        async def use(ctx: Context[Any, str]) -> str:
            return ctx.resources

        @service.subscription(numbered)
        async def on(ctx: Context[Any, str], payload: int) -> None:
            entered.set()
            await anyio.sleep(0.02)
            steps.append(ctx.resources)

        async with harness.serve(service, resources=bus) as client:
            assert await client.invoke(use) == "bus"
            await client.emit(numbered, 1)
            await entered.wait()
        assert steps == ["opened", "bus", "closed"]

    async def test_a_plain_object_as_resources(self, harness: Harness) -> None:
        service = Service("Sensor")

        @service.command
        async def use(ctx: Context[Any, dict[str, int]]) -> dict[str, int]:
            return ctx.resources

        async with harness.serve(service, resources={"pins": 4}) as client:
            assert await client.invoke(use) == {"pins": 4}
