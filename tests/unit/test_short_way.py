"""The short way of commands and events through the extension: that it is taken, and that it shows nowhere."""

from __future__ import annotations

import gc
import inspect
import warnings
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import anyio
import anyio.lowlevel
import pytest
from msgspec import Struct

from purista_fast import App, Client, Context, Event, HandledError, Message, PayloadError, Service, UnhandledError
from purista_fast._core import Emission, Invocation, Serve
from tests.patience import patient

pytestmark = pytest.mark.anyio


class Reading(Struct):
    celsius: float
    notes: list[str] = []


measured: Event[Reading] = Event("measured", Reading)
Script = Callable[[Context], Awaitable[Any]]


@pytest.fixture
def service() -> Service:
    service = Service("Short")
    service_commands(service)
    return service


class Commands:
    echo: Any
    wait: Any
    nothing: Any
    broken: Any


commands = Commands()


def service_commands(service: Service) -> None:
    @service.command
    async def echo(ctx: Context, payload: Reading) -> Reading:
        payload.notes.append("seen")
        return payload

    @service.command
    async def wait(ctx: Context, payload: float) -> str:
        await anyio.sleep(payload)
        return "done"

    @service.command
    async def nothing(ctx: Context) -> None:
        return None

    @service.command
    async def broken(ctx: Context, payload: int) -> int:
        return "no number"  # type: ignore[return-value]

    commands.echo, commands.wait, commands.nothing, commands.broken = echo, wait, nothing, broken


async def within(service: Service, script: Script, *, then: Callable[[Client], Awaitable[None]] | None = None) -> None:
    """Runs a script with the context of a command."""

    @service.command
    async def play(ctx: Context) -> None:
        await script(ctx)

    async with App(service).serve(bridge="memory://") as client:
        await client.invoke(play)
        if then is not None:
            await then(client)


def takes_short_way(anyio_backend_name: str, awaitable: Any, kind: type) -> bool:
    """On trio a deadline has to be there before the first step: commands take the detour."""
    return isinstance(awaitable, kind) or (kind is Invocation and anyio_backend_name == "trio")


async def test_commands_and_events_take_it(service: Service, anyio_backend_name: str) -> None:
    async def script(ctx: Context) -> None:
        for awaitable, kind in (
            (ctx.invoke(commands.echo, Reading(1.0)), Invocation),
            (ctx.invoke(commands.nothing), Invocation),
            (ctx.emit(measured, Reading(1.0)), Emission),
        ):
            assert takes_short_way(anyio_backend_name, awaitable, kind), awaitable
            await awaitable

    await within(service, script)


async def test_what_is_given_and_got_belongs_to_one_side_alone(service: Service) -> None:
    async def script(ctx: Context) -> None:
        given = Reading(1.0, ["mine"])
        got = await ctx.invoke(commands.echo, given)
        assert (given.notes, got.notes) == (["mine"], ["mine", "seen"])

    await within(service, script)


async def test_each_subscription_has_a_payload_of_its_own(service: Service) -> None:
    got: list[Reading] = []
    done = anyio.Event()

    async def take(payload: Reading) -> None:
        payload.notes.append("taken")
        got.append(payload)
        if len(got) == 3:
            done.set()

    @service.subscription(measured)
    async def first(ctx: Context, payload: Reading) -> None:
        await take(payload)

    @service.subscription(measured)
    async def second(ctx: Context, payload: Reading) -> None:
        await take(payload)

    @service.subscription(event_name="measured")
    async def third(ctx: Context, payload: dict[str, Any]) -> None:
        await take(Reading(**payload))

    async def script(ctx: Context) -> None:
        given = Reading(1.0, ["mine"])
        await ctx.emit(measured, given)
        given.notes.append("changed after it was emitted")

    async def then(client: Client) -> None:
        with anyio.fail_after(patient(5)):
            await done.wait()

    await within(service, script, then=then)
    assert [reading.notes for reading in got] == [["mine", "taken"]] * 3


async def test_what_does_not_fit_is_refused_every_time(service: Service) -> None:
    async def script(ctx: Context) -> None:
        for _ in range(2):
            with pytest.raises(HandledError) as rejected:
                await ctx.invoke(commands.echo, Reading("hot"))  # type: ignore[arg-type]
            assert rejected.value.data == [{"message": "Expected `float`, got `str`", "path": ["celsius"]}]
            with pytest.raises(TypeError):
                await ctx.invoke(commands.echo, object())  # type: ignore[arg-type]
            with pytest.raises(PayloadError, match="measured"):
                await ctx.emit(measured, Reading("hot"))  # type: ignore[arg-type]
            with pytest.raises(UnhandledError):
                await ctx.invoke(commands.broken, 1)

    await within(service, script, then=nothing_runs)


async def nothing_runs(client: Client) -> None:
    assert client.health().commands_running == 0


async def test_a_timeout_cancels_the_handler(service: Service) -> None:
    async def script(ctx: Context) -> None:
        for _ in range(2):
            with pytest.raises(UnhandledError, match="504"):
                await ctx.invoke(commands.wait.using(timeout=0.01), 30.0)
            with anyio.move_on_after(0.01) as scope:
                await ctx.invoke(commands.wait, 30.0)
            assert scope.cancelled_caught
            assert await ctx.invoke(commands.wait, 0.0) == "done"

    await within(service, script, then=nothing_runs)


async def test_the_context_tells_what_it_was_called_with(service: Service) -> None:
    seen: list[Message] = []

    @service.command
    async def note(ctx: Context, payload: Reading) -> None:
        seen.append(ctx.message)
        assert (ctx.principal_id, ctx.tenant_id) == ("somebody", "somewhere")
        assert ctx.message is seen[-1]

    @service.command
    async def outer(ctx: Context, payload: Reading) -> str:
        await ctx.invoke(note, payload)
        return ctx.trace_id

    async with App(service).serve(bridge="memory://") as client:
        acting = client.acting(principal_id="somebody", tenant_id="somewhere", trace_id="1" * 32)
        trace_id = await acting.invoke(outer, Reading(1.0))
    (message,) = seen
    assert (message.trace_id, message.principal_id, message.tenant_id) == (trace_id, "somebody", "somewhere")
    assert (message.sender.service_target, message.receiver and message.receiver.service_target) == ("outer", "note")
    assert message.call() == (b'{"celsius":1.0,"notes":[]}', b"{}")


async def test_a_command_that_becomes_observed_leaves_it(service: Service) -> None:
    ready, gone = anyio.Event(), anyio.Event()

    @service.command
    async def twice(ctx: Context) -> None:
        await ctx.invoke(commands.nothing)
        made_before = ctx.invoke(commands.nothing)
        ready.set()
        await gone.wait()
        await made_before
        await ctx.invoke(commands.nothing)

    seen = 0
    async with App(service).serve(bridge="memory://") as client, anyio.create_task_group() as tasks:
        tasks.start_soon(client.invoke, twice)
        await ready.wait()
        async with client.listen(message_type="command") as messages:
            gone.set()
            with anyio.fail_after(patient(5)):
                async for message in messages:
                    assert message.receiver is not None
                    seen += message.receiver.service_target == "nothing"
                    if seen == 2:
                        break


async def test_awaited_after_the_end_nothing_runs(service: Service) -> None:
    kept: list[Any] = []

    async def script(ctx: Context) -> None:
        kept.extend([ctx.invoke(commands.nothing), ctx.emit(measured, Reading(1.0))])

    await within(service, script)
    for awaitable in kept:
        with pytest.raises(UnhandledError, match="503"):
            await awaitable


async def test_those_who_ask_take_it_for_a_coroutine(service: Service) -> None:
    """As AnyIO before 4.14 does, where a task group starts it."""
    states: list[str] = []

    @service.command
    async def look(ctx: Context) -> None:
        waits = made[-1]
        await anyio.lowlevel.checkpoint()
        states.append(inspect.getcoroutinestate(waits))

    made: list[Any] = []

    async def script(ctx: Context) -> None:
        for begin in (lambda: ctx.invoke(commands.wait, 0.01), lambda: ctx.emit(measured, Reading(1.0))):
            made.append(begin())
            assert inspect.iscoroutine(made[-1])
            await made[-1]
        made.append(ctx.invoke(commands.wait, 0.02))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait_for, made[-1])
            tasks.start_soon(ctx.invoke, look)
            tasks.start_soon(ctx.emit, measured, Reading(1.0))

    await within(service, script)
    assert states == [inspect.CORO_SUSPENDED]


async def wait_for(awaitable: Awaitable[Any]) -> None:
    await awaitable


async def test_those_who_look_how_far_a_task_is_see_the_handler(service: Service) -> None:
    waits, seen = anyio.Event(), anyio.Event()
    functions: list[str] = []

    @service.subscription(measured)
    async def take(ctx: Context, payload: Reading) -> None:
        waits.set()
        await seen.wait()

    async def script(ctx: Context) -> None:
        await ctx.emit(measured, Reading(1.0))
        await waits.wait()
        found = [root for root in gc.get_objects() if type(root) is Serve and root.cr_suspended]
        functions.extend(root.cr_await.__name__ for root in found)
        seen.set()

    await within(service, script)
    assert functions == ["take"]


async def test_an_interruption_is_no_payload_that_does_not_fit(service: Service) -> None:
    interrupted: Event[Interrupted] = Event("interrupted", Interrupted)

    @service.subscription(event_name="interrupted")
    async def take(ctx: Context, payload: Interrupted) -> None:
        pytest.fail("was emitted")

    async def script(ctx: Context) -> None:
        given = Interrupted()
        Interrupted.times = 1
        with pytest.raises(KeyboardInterrupt):
            await ctx.emit(interrupted, given)

    await within(service, script)


class Interrupted(Struct):
    times: ClassVar[int] = 0

    def __post_init__(self) -> None:
        if Interrupted.times:
            Interrupted.times -= 1
            raise KeyboardInterrupt


async def test_those_who_wait_for_room_get_it_in_turn(service: Service) -> None:
    order: list[int] = []
    numbered: Event[int] = Event("numbered", int)

    @service.subscription(numbered, queue_size=4)
    async def take(ctx: Context, payload: int) -> None:
        order.append(payload)

    async def script(ctx: Context) -> None:
        started: list[int] = []

        async def emit(number: int) -> None:
            started.append(number)
            await ctx.emit(numbered, number)

        async with anyio.create_task_group() as tasks:
            for number in range(40):
                tasks.start_soon(emit, number)
        with anyio.fail_after(patient(5)):
            while len(order) < 40:
                await anyio.lowlevel.checkpoint()
        # Trio shuffles those who are woken together: as many as there is room for.
        assert max(abs(order.index(number) - place) for place, number in enumerate(started)) < 4

    await within(service, script)


async def test_awaited_twice_it_says_so(service: Service, anyio_backend_name: str) -> None:
    async def script(ctx: Context) -> None:
        for awaitable in (ctx.invoke(commands.nothing), ctx.emit(measured, Reading(1.0))):
            await awaitable
            with pytest.raises(RuntimeError):
                await awaitable

    await within(service, script)


async def test_never_awaited_it_warns(service: Service) -> None:
    async def script(ctx: Context) -> None:
        for begin in (lambda: ctx.invoke(commands.nothing), lambda: ctx.emit(measured, Reading(1.0))):
            with pytest.warns(RuntimeWarning, match="never awaited"):
                begin()

    await within(service, script, then=nothing_runs)


async def test_closed_or_thrown_into_before_it_began_it_does_nothing(service: Service, anyio_backend_name: str) -> None:
    async def script(ctx: Context) -> None:
        begin: list[Callable[[], Any]] = [lambda: ctx.emit(measured, Reading(1.0))]
        if anyio_backend_name == "asyncio":
            begin.append(lambda: ctx.invoke(commands.nothing))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for make in begin:
                make().close()
                for error in ((ValueError("no"),), (ValueError,), (ValueError, ValueError("no"), None)):
                    with pytest.raises(ValueError):
                        make().throw(*error)

    await within(service, script, then=nothing_runs)


@pytest.mark.parametrize("value", [(1, 2), (), None, [1]])
async def test_results_that_stop_iteration_would_take_apart(value: Any) -> None:
    service = Service("Odd")

    @service.command
    async def give(ctx: Context) -> Any:
        return value

    async def script(ctx: Context) -> None:
        got = await ctx.invoke(give)
        assert got == (list(value) if isinstance(value, tuple) else value)

    await within(service, script)


async def test_a_handler_that_never_waits_leaves_the_loop_to_others(service: Service) -> None:
    handled = 0
    others_ran_after: list[int] = []
    done = anyio.Event()

    @service.subscription(measured)
    async def busy(ctx: Context, payload: Reading) -> None:
        nonlocal handled
        end = anyio.current_time() + 0.0005
        while anyio.current_time() < end:
            pass
        handled += 1
        if handled == 100:
            done.set()

    async def script(ctx: Context) -> None:
        for _ in range(100):
            await ctx.emit(measured, Reading(1.0))

    async def then(client: Client) -> None:
        while not done.is_set():
            others_ran_after.append(handled)
            await anyio.lowlevel.checkpoint()

    await within(service, script, then=then)
    assert len(others_ran_after) > 10
