"""Handlers as the plain functions that they are, with a context made for a test."""

from typing import Any

import pytest

from purista_fast import (
    Address,
    App,
    Context,
    DefinitionError,
    Event,
    HandledError,
    Message,
    PayloadError,
    Service,
    UnhandledError,
    remote,
    testing,
)

pytestmark = pytest.mark.anyio
stored = Event("stored", int)
thermo = Service("Thermo")


@remote("User", "1")
async def sign_up(ctx: Context, payload: str, *, lang: str = "en") -> dict[str, str]: ...  # type: ignore[empty-body]


@thermo.command
async def double(ctx: Context, payload: int, *, by: int = 2) -> int:
    return payload * by


@thermo.command
def plain(ctx: Context, payload: int) -> int:
    return payload + 1


@thermo.command
async def register(ctx: Context, payload: str) -> str:
    user = await ctx.invoke(sign_up, payload, lang="de")
    await ctx.emit(stored, 1)
    await ctx.emit("anything", {"a": 1})
    return user["name"]


@thermo.subscription(stored)
async def on_stored(ctx: Context, payload: int) -> str:
    return f"{ctx.config} {ctx.resources} {ctx.tenant_id} {ctx.principal_id} {ctx.trace_id} {payload}"


async def test_a_command_is_a_function() -> None:
    assert await double(testing.context(), 21) == 42
    assert await double(testing.context(), 21, by=3) == 63
    assert await plain(testing.context(), 1) == 2


async def test_a_subscription_is_a_function_too() -> None:
    ctx = testing.context(config="c", resources="r", tenant_id="t", principal_id="p", trace_id="1")
    assert await on_stored(ctx, 7) == "c r t p 1 7"


async def test_answers_and_emitted_events() -> None:
    ctx = testing.context(answers={"User/1/sign_up": {"name": "ada"}})
    assert await register(ctx, "ada") == "ada"
    assert testing.emitted(ctx) == [("stored", 1), ("anything", {"a": 1})]


async def test_an_answer_may_be_a_function_or_an_error() -> None:
    ctx = testing.context(answers={"User/1/sign_up": lambda payload, lang: {"name": f"{payload} {lang}"}})
    assert await register(ctx, "ada") == "ada de"
    ctx = testing.context(answers={"User/1/sign_up": HandledError(409)})
    with pytest.raises(HandledError):
        await register(ctx, "ada")


async def test_what_has_no_answer_says_so() -> None:
    with pytest.raises(UnhandledError, match=r"has no answer for 'User/1/sign_up'"):
        await register(testing.context(), "ada")


async def test_arguments_and_payloads_are_checked() -> None:
    ctx = testing.context(answers={"User/1/sign_up": None})
    with pytest.raises(TypeError, match="no parameter"):
        await ctx.invoke(sign_up, "ada", language="de")  # type: ignore[call-arg]
    with pytest.raises(PayloadError):
        await ctx.emit(stored, "one")  # type: ignore[misc]


async def test_a_remote_command_has_no_handler_here() -> None:
    with pytest.raises(DefinitionError, match=r"User/1/sign_up is a remote command: it runs elsewhere"):
        await sign_up(testing.context(), "ada")


async def test_a_live_context_points_to_invoke() -> None:
    service = Service("Live")
    errors: list[str] = []

    @service.command
    async def outer(ctx: Context) -> None:
        calls: list[Any] = [lambda: double(ctx, 1), lambda: on_stored(ctx, 1)]
        for call in calls:
            with pytest.raises(DefinitionError) as caught:
                await call()
            errors.append(str(caught.value))

    async with App(service, thermo).serve(bridge="memory://") as client:
        await client.invoke(outer)
    assert "use `await ctx.invoke(double, …)`" in errors[0]
    assert errors[1].startswith("Thermo/1/on_stored was called as a plain function with a live context")


async def test_the_context_says_what_it_is() -> None:
    ctx = testing.context(trace_id="1")
    assert not ctx.is_live
    assert repr(ctx) == "<Context of Test/1/test, trace 1>"
    assert ctx.instance_id == "test"
    assert ctx.message.message_type == "command"


async def test_the_messages_of_a_batch() -> None:
    sender = Address("Test", "1", "x", "i")
    messages = [Message("customMessage", sender=sender, tenant_id="t", principal_id=by) for by in ("a", "b")]
    ctx = testing.context(messages=messages)
    assert ctx.messages == tuple(messages)
    assert (ctx.message, ctx.tenant_id, ctx.principal_id) == (messages[0], "t", None)
    ctx = testing.context(message=messages[1])
    assert ctx.messages == (messages[1],)
