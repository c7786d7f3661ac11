"""What a handler may rely on: payloads of its own, guards, allow lists, configuration and resources."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from msgspec import Struct

from purista_fast import ConfigError, Context, DefinitionError, HandledError, Service, StatusCode, UnhandledError
from tests.contract.harness import Harness
from tests.contract.helpers import Inbox, anything, doubled, numbered


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
class GuardCases:
    async def test_their_order_and_what_they_get(self, harness: Harness) -> None:
        service = Service("Guarded")
        steps: list[Any] = []

        async def first(ctx: Context, payload: Any, parameter: Any) -> None:
            steps.append(("first", payload, dict(parameter), ctx.principal_id))

        async def second(ctx: Context, payload: Any, parameter: Any) -> None:
            steps.append(("second", payload))

        async def check_result(ctx: Context, payload: Any, parameter: Any) -> None:
            steps.append(("after", payload, dict(parameter)))

        @service.command(before=[first, second], after=[check_result])
        async def work(ctx: Context, payload: int, *, by: int = 2, left_out: int = 0) -> int:
            steps.append("handler")
            return payload * by

        async with harness.serve(service) as client:
            assert await client.acting(principal_id="p").invoke(work, 1, by=3) == 3
        assert steps == [("first", 1, {"by": 3}, "p"), ("second", 1), "handler", ("after", 3, {"by": 3})]

    async def test_a_guard_rejects_by_raising(self, harness: Harness) -> None:
        service = Service("Guarded")
        ran: list[str] = []

        async def forbid(ctx: Context, payload: Any, parameter: Any) -> None:
            if payload == 1:
                raise HandledError(StatusCode.FORBIDDEN, "not you")
            if payload == 2:
                raise RuntimeError("the guard itself is broken")

        async def not_reached(ctx: Context, payload: Any, parameter: Any) -> None:
            ran.append("second guard")

        @service.command(before=[forbid, not_reached])
        async def work(ctx: Context, payload: int) -> None:
            ran.append("handler")

        @service.command(after=[forbid])
        async def result(ctx: Context, payload: int) -> int:
            return payload

        async with harness.serve(service) as client:
            for command in (work, result):
                with pytest.raises(HandledError) as handled:
                    await client.invoke(command, 1)
                assert (handled.value.status, handled.value.message) == (403, "not you")
                with pytest.raises(UnhandledError) as crashed:
                    await client.invoke(command, 2)
                assert (crashed.value.status, crashed.value.data) == (500, None)
        assert ran == []

    async def test_guards_run_after_validation(self, harness: Harness) -> None:
        service = Service("Guarded")
        ran: list[Any] = []

        async def guard(ctx: Context, payload: Any, parameter: Any) -> None:
            ran.append(payload)

        @service.command(before=[guard])
        async def work(ctx: Context, payload: int) -> None: ...

        async with harness.serve(service) as client:
            with pytest.raises(HandledError) as caught:
                await client.invoke(work, "text")  # type: ignore[arg-type]
            assert caught.value.status == 400
        assert ran == []

    async def test_guards_of_a_subscription(self, harness: Harness) -> None:
        service = Service("Guarded")
        got: Inbox[int] = Inbox()
        results: list[Any] = []

        async def positive(ctx: Context, payload: int, parameter: Any) -> None:
            if payload < 0:
                raise HandledError(StatusCode.BAD_REQUEST, "negative")

        async def small(ctx: Context, payload: int, parameter: Any) -> None:
            results.append(payload)
            if payload > 10:
                raise HandledError(StatusCode.BAD_REQUEST, "too much for an event")

        @service.subscription(numbered, before=[positive], after=[small], result_event=doubled)
        async def double(ctx: Context, payload: int) -> int:
            return payload * 2

        @service.subscription(doubled)
        async def on(ctx: Context, payload: int) -> None:
            got.put(payload)

        async with harness.serve(service) as client:
            for number in (-1, 6, 1):
                await client.emit(numbered, number)
            assert await got.wait(1) == [2]
        assert (results, got.items) == ([12, 2], [2])


@pytest.mark.anyio
class AllowListCases:
    async def test_only_what_is_listed(self, harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
        other = Service("Other")

        @other.command
        async def listed(ctx: Context) -> str:
            return "listed"

        @other.command
        async def unlisted(ctx: Context) -> str:
            return "unlisted"

        service = Service("Restricted")

        @service.command(invokes=[listed], emits=[numbered, "named"])
        async def work(ctx: Context) -> list[Any]:
            result: list[Any] = [await ctx.invoke(listed), await ctx.invoke(listed.using(timeout=5))]
            await ctx.emit(numbered, 1)
            await ctx.emit("named", 1)
            for call in (lambda: ctx.invoke(unlisted), lambda: ctx.emit(anything, 1), lambda: ctx.emit("other", 1)):
                with pytest.raises(DefinitionError, match="it is not in its `"):
                    await call()
            return result

        @service.command(invokes=[], emits=[])
        async def silent(ctx: Context) -> None:
            await ctx.invoke(listed)

        async with harness.serve(service, other) as client:
            assert await client.invoke(work) == ["listed", "listed"]
            with pytest.raises(UnhandledError) as caught:
                await client.invoke(silent)
            assert caught.value.status == 500
            assert "Restricted/1/silent may not invoke Other/1/listed" in caplog.text


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
