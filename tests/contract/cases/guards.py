"""Guards and allow lists: what runs around a handler, and what it may reach."""

from typing import Any

import pytest

from purista_fast import Context, DefinitionError, HandledError, Service, StatusCode, UnhandledError
from tests.contract.harness import Harness
from tests.contract.helpers import Inbox, anything, doubled, numbered


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
            commands: list[Any] = [work, result]
            for command in commands:
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
