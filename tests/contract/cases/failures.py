"""Invocations that fail: every kind of error, and what of it reaches the caller."""

import logging
from typing import Any

import anyio
import pytest

from purista_fast import (
    Context,
    Event,
    HandledError,
    PuristaError,
    Service,
    ServiceError,
    StatusCode,
    UnhandledError,
    remote,
)
from tests.contract.harness import Harness
from tests.contract.helpers import Inbox, Reading, Stored

failing = Service("Failing")
never = Event("neverEmitted", Stored)


@failing.command
async def refuse(ctx: Context, payload: Any) -> None:
    raise HandledError(StatusCode.CONFLICT, "already there", payload)


@failing.command
async def refuse_bare(ctx: Context) -> None:
    raise HandledError(StatusCode.NOT_FOUND)


@failing.command
async def refuse_oddly(ctx: Context) -> None:
    raise HandledError(299, "a status of another language")


@failing.command
async def refuse_unspeakably(ctx: Context) -> None:
    raise HandledError(StatusCode.CONFLICT, "no JSON can be made of the secret", object())


@failing.command
async def crash(ctx: Context) -> None:
    raise RuntimeError("the secret is 42")


@failing.command
async def crash_in_group(ctx: Context) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.sleep, 60)
        raise RuntimeError("the secret is 42")


@failing.command
async def unhandled(ctx: Context) -> None:
    raise UnhandledError(StatusCode.BAD_GATEWAY, "the secret is 42", {"secret": 42})


@failing.command(success_event=never)
async def lie(ctx: Context, payload: Any) -> Stored:
    return payload  # type: ignore[no-any-return]


@failing.command
async def no_json(ctx: Context) -> Any:
    return {"secret": object()}


@failing.command
async def needs_a_reading(ctx: Context, payload: Reading, *, site: str = "home", level: int = 0) -> str:
    return "not reached"


@failing.command
async def pass_on(ctx: Context, payload: str) -> None:
    await ctx.invoke({"refuse": refuse_bare, "crash": crash}[payload])


@remote("Failing", "1", name="needs_a_reading")
async def anything_goes(ctx: Context, payload: Any = None, *, site: Any = "home", level: Any = 0) -> Any: ...


@remote("Failing", "1", name="needs_a_reading")
async def without_payload(ctx: Context) -> Any: ...


@remote("Failing", "1", name="refuse_bare")
async def refuse_elsewhere(ctx: Context) -> Any: ...


@remote("Failing", "1", name="lie")
async def lie_elsewhere(ctx: Context, payload: Any) -> Any: ...


@remote("Nobody", "1")
async def unknown(ctx: Context) -> None: ...


@pytest.mark.anyio
class FailureCases:
    @pytest.mark.parametrize("data", [None, 0, "text", {"celsius": -300, "why": ["cold"]}], ids=repr)
    async def test_a_handled_error_arrives_as_it_was_raised(self, harness: Harness, data: Any) -> None:
        async with harness.serve(failing) as client:
            with pytest.raises(HandledError) as caught:
                await client.invoke(refuse, data)
            error = caught.value
            assert (error.status, error.message, error.data) == (StatusCode.CONFLICT, "already there", data)
            assert isinstance(error.status, StatusCode)

    async def test_its_message_is_that_of_the_status_unless_given(self, harness: Harness) -> None:
        async with harness.serve(failing) as client:
            for command in (refuse_bare, refuse_elsewhere):
                with pytest.raises(HandledError) as caught:
                    await client.invoke(command)
                assert (caught.value.status, caught.value.message) == (404, "Not Found")
            with pytest.raises(HandledError) as caught:
                await client.invoke(refuse_oddly)
            assert (caught.value.status, caught.value.message) == (299, "a status of another language")

    @pytest.mark.parametrize(
        "command", [crash, crash_in_group, unhandled, no_json, refuse_unspeakably], ids=lambda c: c.name
    )
    async def test_anything_else_is_500_without_detail(
        self, harness: Harness, command: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with harness.serve(failing) as client:
            with pytest.raises(UnhandledError) as caught:
                await client.acting(trace_id="trace-1").invoke(command)
        error = caught.value
        assert (error.status, error.message, error.data) == (500, "Internal Server Error", None)
        assert error.trace_id == "trace-1"
        assert "secret" not in f"{error} {error!r}"
        assert any(r.levelno >= logging.ERROR and command.name in r.getMessage() for r in caplog.records), (
            "the detail is logged where it happened"
        )

    @pytest.mark.parametrize("value", [{"sensor": "a"}, {"sensor": 1, "count": 1}, None, "text"], ids=repr)
    @pytest.mark.parametrize("command", [lie, lie_elsewhere], ids=["declared", "remote"])
    async def test_output_that_does_not_fit_is_500_and_no_event(
        self, harness: Harness, command: Any, value: Any
    ) -> None:
        listener = Service("Listener")
        got: Inbox[Any] = Inbox()

        @listener.subscription(event_name="neverEmitted")
        async def on(ctx: Context, payload: Any) -> None:
            got.put(payload)

        async with harness.serve(failing, listener) as client:
            with pytest.raises(UnhandledError) as caught:
                await client.invoke(command, value)
            assert (caught.value.status, caught.value.data) == (500, None)
        assert got.items == []

    async def test_input_that_does_not_fit_is_400_with_every_problem(self, harness: Harness) -> None:
        async with harness.serve(failing) as client:
            with pytest.raises(HandledError) as caught:
                await client.invoke(anything_goes, {"sensor": 7, "celsius": "hot"})
            error = caught.value
            assert error.status == StatusCode.BAD_REQUEST
            assert error.message == "input validation for payload failed:"
            assert error.data == [
                {"message": "Expected `str`, got `int`", "path": ["sensor"]},
                {"message": "Expected `float`, got `str`", "path": ["celsius"]},
            ]
            with pytest.raises(HandledError) as caught:
                await client.invoke(anything_goes, {})
            assert caught.value.data == [
                {"message": "Required", "path": ["sensor"]},
                {"message": "Required", "path": ["celsius"]},
            ]
            with pytest.raises(HandledError) as caught:
                await client.invoke(without_payload)
            assert (caught.value.status, caught.value.data) == (400, [{"message": "Required", "path": []}])

    async def test_parameters_that_do_not_fit_are_400_with_every_problem(self, harness: Harness) -> None:
        async with harness.serve(failing) as client:
            with pytest.raises(HandledError) as caught:
                await client.invoke(anything_goes, {"sensor": "a", "celsius": 1.0}, site=1, level="high")
            assert (caught.value.status, caught.value.message) == (400, "input validation for parameter failed:")
            assert sorted(problem["path"] for problem in caught.value.data) == [["level"], ["site"]]

    async def test_errors_of_nested_invocations(self, harness: Harness) -> None:
        async with harness.serve(failing) as client:
            with pytest.raises(HandledError) as handled:
                await client.invoke(pass_on, "refuse")
            assert handled.value.status == 404
            with pytest.raises(UnhandledError) as crashed:
                await client.invoke(pass_on, "crash")
            assert crashed.value.status == 500

    async def test_an_unknown_command(self, harness: Harness) -> None:
        async with harness.serve(failing) as client:
            with pytest.raises(UnhandledError) as caught:
                await client.invoke(unknown.using(timeout=0.3))
            assert caught.value.status == harness.unknown_command

    async def test_arguments_that_are_no_json_never_leave(self, harness: Harness) -> None:
        async with harness.serve(failing) as client:
            with pytest.raises(TypeError):
                await client.invoke(refuse, object())

    async def test_the_errors_have_one_root(self, harness: Harness) -> None:
        assert issubclass(HandledError, ServiceError)
        assert issubclass(UnhandledError, ServiceError)
        assert issubclass(ServiceError, PuristaError)
