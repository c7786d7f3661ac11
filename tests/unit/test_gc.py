"""What has been served is collected: nothing keeps a run alive, and no cycle goes unseen through the extension."""

import gc
import logging
import weakref
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from purista_fast import App, Client, Context, Event, Service, UnhandledError
from tests.patience import patient

pytestmark = pytest.mark.anyio
noted = Event("noted", int)


@pytest.fixture(autouse=True)
def no_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record keeps the traceback of an error, and with it all that its frames hold."""
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)


class Witness:
    """Is alive as long as something holds it."""


def objects(kind: str) -> list[Any]:
    """Those of a class of ours; the standard library has contexts of its own."""
    kinds = (type(found) for found in gc.get_objects())
    return [found for found in kinds if found.__name__ == kind and found.__module__.startswith("purista_fast")]


def counted() -> dict[str, int]:
    kinds = ("MemoryBridge", "Runtime", "Client", "Workers", "_Crew", "Dispatcher", "Invocation", "Request", "Context")
    kinds += ("Emission", "Serve", "LocalCommand", "Outlet", "Handler", "Scope")
    gc.collect()
    return {kind: len(objects(kind)) for kind in kinds}


async def settle(before: dict[str, int]) -> None:
    """Waits until there is no more than before: a thread lets go of its last call a moment after the answer."""
    with anyio.move_on_after(patient(10)):
        while counted() != before:  # noqa: ASYNC110  # nobody tells when something is collected
            await anyio.sleep(0.01)
    assert counted() == before


async def use(client: Client, service: Service) -> None:
    commands = service.commands
    for _ in range(20):
        await client.invoke(commands["wait"], 1)
        await client.emit(noted, 1)
    with pytest.raises(UnhandledError):
        await client.invoke(commands["fail"])
    with anyio.move_on_after(0.01):
        await client.invoke(commands["hang"])
    with pytest.raises(UnhandledError):
        await client.invoke(commands["hang"].using(timeout=0.01))
    async with client.listen(noted) as messages:
        await client.emit(noted, 1)
        await anext(messages)


def service(witness: Witness) -> Service:
    made = Service("Kept")

    @made.command(success_event=noted)
    async def wait(ctx: Context, payload: int) -> int:
        assert witness is not None
        await anyio.lowlevel.checkpoint()
        return payload

    @made.command
    async def fail(ctx: Context) -> None:
        raise RuntimeError("as planned")

    @made.command
    async def hang(ctx: Context) -> None:
        await anyio.sleep_forever()

    @made.command
    def plain(ctx: Context) -> None:
        return None

    @made.subscription(noted)
    async def on(ctx: Context, payload: int) -> None:
        assert witness is not None

    @made.every(0.001)
    async def tick(ctx: Context) -> None:
        assert witness is not None

    return made


async def test_nothing_of_a_run_is_left() -> None:
    before = counted()
    gone: list[weakref.ref[Witness]] = []

    async def run() -> None:
        witness = Witness()
        gone.append(weakref.ref(witness))
        made = service(witness)
        async with App(made, resources=witness).serve(bridge="memory://") as client:
            await use(client, made)
            await client.invoke(made.commands["plain"])

    await run()
    await settle(before)
    assert gone[0]() is None


async def test_an_application_that_is_kept_keeps_no_run() -> None:
    made = service(Witness())
    app = App(made)

    async def run() -> None:
        async with app.serve(bridge="memory://") as client:
            await use(client, made)

    await run()
    before = counted()
    for _ in range(3):
        await run()
    await settle(before)


async def test_a_run_that_fails_is_let_go() -> None:
    before = counted()
    made = service(Witness())

    async def run() -> None:
        async with App(made).serve(bridge="memory://") as client:
            await use(client, made)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await run()
    await settle(before)


async def test_contexts_do_not_outlive_their_handlers() -> None:
    made = Service("Short")

    @made.command
    async def quick(ctx: Context, payload: list[int]) -> list[int]:
        return payload

    def alive() -> int:
        return len(objects("Request")) + len(objects("Context")) + len(objects("Invocation"))

    gc.collect()
    gc.disable()  # what goes must go by its reference count alone
    try:
        async with App(made).serve(bridge="memory://") as client:
            await client.invoke(made.commands["quick"], [1])
            before = alive()
            for _ in range(100):
                await client.invoke(made.commands["quick"], [1])
            assert alive() == before
    finally:
        gc.enable()
