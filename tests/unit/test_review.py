"""What a review found: each test failed before."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from purista_fast import App, Context, DefinitionError, Event, HandledError, Service, UnhandledError
from purista_fast._core import Address, Message
from purista_fast.bridges.base import Consumer
from purista_fast.bridges.memory.bridge import MemoryBridge
from tests.patience import patient

pytestmark = pytest.mark.anyio

number = Event("number", int)


def message(name: str, tenant_id: str | None = None) -> Message:
    """An event of this name and tenant."""
    sender = Address("Sender", "1", "send", "i")
    return Message("customMessage", sender=sender, event_name=name, tenant_id=tenant_id, payload=b"1")


def consumer(target: str, handle: Callable[[Message], Awaitable[None]], **filters: Any) -> Consumer:
    """A consumer with room for one message."""
    return Consumer(address=Address("Taker", "1", target, "i"), subscription=filters, handle=handle, capacity=1)


async def wait_for_cancelled() -> None:
    """Waits for a task that somebody else has cancelled."""
    task = asyncio.ensure_future(asyncio.sleep(60))
    task.cancel()
    await task


def test_a_cancelled_future_ends_no_subscription_timer_or_command() -> None:
    service, seen, ticks = Service("S"), [], []

    @service.command
    async def stray(ctx: Context) -> None:
        await wait_for_cancelled()

    @service.subscription(number)
    async def watch(ctx: Context, payload: int) -> None:
        seen.append(payload)
        if payload == 1:
            await wait_for_cancelled()

    @service.every(0.01)
    async def tick(ctx: Context) -> None:
        ticks.append(1)
        await wait_for_cancelled()

    async def main() -> None:
        async with App(service).serve(bridge="memory://") as client:
            with pytest.raises(UnhandledError, match="500"):
                await client.invoke(stray)
            for n in range(4):
                await client.emit(number, n)
            await asyncio.sleep(0.1)

    asyncio.run(main())
    assert seen == [0, 1, 2, 3]
    assert len(ticks) > 1


async def test_guards_may_come_from_an_iterator() -> None:
    service = Service("S")

    async def deny(ctx: Any, payload: Any, parameter: Any) -> None:
        raise HandledError(403, "no")

    @service.command(before=iter([deny]))
    async def secret(ctx: Context) -> str:
        return "reached"

    async with App(service).serve(bridge="memory://") as client:
        with pytest.raises(HandledError, match="no"):
            await client.invoke(secret)


async def test_room_that_one_cannot_use_goes_to_the_next() -> None:
    bridge = MemoryBridge(instance_id="i")
    first, second = anyio.Event(), anyio.Event()

    async def take_first(_: Message) -> None:
        await first.wait()

    async def take_second(_: Message) -> None:
        await second.wait()

    bridge.listen(consumer("first", take_first, eventName="x"))
    bridge.listen(consumer("second", take_second, tenantId="t"))
    async with anyio.create_task_group() as tasks:
        await bridge.start(tasks)
        for _ in range(2):  # one that is handled, one that waits
            await bridge.emit(message("x"))
            await bridge.emit(message("y", "t"))
            await anyio.sleep(0.01)
        tasks.start_soon(bridge.emit, message("x", "t"), None)  # wants both
        await anyio.sleep(0.01)
        with anyio.fail_after(patient(2)):
            async with anyio.create_task_group() as waiting:
                waiting.start_soon(bridge.emit, message("x"), None)
                await anyio.sleep(0.01)
                first.set()
        second.set()
        tasks.cancel_scope.cancel()


async def test_whoever_waits_for_room_goes_on_when_the_consumer_goes() -> None:
    bridge = MemoryBridge(instance_id="i")

    async def take(_: Message) -> None:
        await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        await bridge.start(tasks)
        remove = await bridge.tap(consumer("tap", take, eventName="x"))
        await bridge.emit(message("x"))
        await anyio.sleep(0.01)
        await bridge.emit(message("x"))
        with anyio.fail_after(patient(2)):
            async with anyio.create_task_group() as waiting:
                waiting.start_soon(bridge.emit, message("x"), None)
                await anyio.sleep(0.01)
                await remove()
        tasks.cancel_scope.cancel()


async def test_a_worker_of_a_removed_consumer_takes_nothing_of_the_next() -> None:
    bridge = MemoryBridge(instance_id="i")
    go, taken = anyio.Event(), []

    async def old(_: Message) -> None:
        taken.append("old")
        await go.wait()

    async def new(_: Message) -> None:
        taken.append("new")
        await anyio.sleep(0.02)

    async with anyio.create_task_group() as tasks:
        await bridge.start(tasks)
        remove = await bridge.tap(consumer("old", old, eventName="x"))
        await bridge.emit(message("x"))
        await anyio.sleep(0.01)
        await remove()
        await bridge.tap(consumer("new", new, eventName="x"))
        await bridge.emit(message("x"))
        await anyio.sleep(0.01)
        await bridge.emit(message("x"))  # waits while the new one is busy and the old one is not
        go.set()
        await anyio.sleep(0.1)
        tasks.cancel_scope.cancel()
    assert taken == ["old", "new", "new"]


async def test_emit_after_the_end_says_so() -> None:
    service = Service("S")

    @service.subscription(number)
    async def watch(ctx: Context, payload: int) -> None: ...

    async with App(service).serve(bridge="memory://") as client:
        await client.emit(number, 1)
    with pytest.raises(UnhandledError, match="503"):
        await client.emit(number, 2)


async def test_a_plain_decorator_around_an_async_handler() -> None:
    service, seen = Service("S"), []

    def logged(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    @service.command
    @logged
    async def double(ctx: Context, payload: int) -> int:
        return payload * 2

    @service.subscription(number)
    @logged
    async def watch(ctx: Context, payload: int) -> None:
        seen.append(payload)

    async with App(service).serve(bridge="memory://") as client:
        assert await client.invoke(double, 21) == 42
        await client.emit(number, 1)
    assert seen == [1]


def test_what_is_no_handler_is_refused() -> None:
    service = Service("S")

    class Callee:
        async def __call__(self, ctx: Context, payload: int) -> int:
            return payload

    async def generator(ctx: Context, payload: int):  # type: ignore[no-untyped-def]
        yield payload

    async def add(number: int, ctx: Context, payload: int) -> int:
        return number + payload

    for handler in (Callee(), generator, functools.partial(add, 1)):
        with pytest.raises(DefinitionError, match="S/1/x"):
            service.command(name="x")(handler)  # type: ignore[arg-type,call-overload]


def test_using_twice_keeps_what_was_set() -> None:
    service = Service("S")

    @service.command
    async def slow(ctx: Context) -> None: ...

    options = slow.using(timeout=0.5).using(event_name="asked").options
    assert (options.timeout, options.event_name, options.instance_id) == (0.5, "asked", None)


def test_a_status_is_a_number() -> None:
    with pytest.raises(ValueError, match="abc"):
        HandledError("abc")  # type: ignore[arg-type]
