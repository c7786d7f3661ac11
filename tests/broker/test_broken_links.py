"""The broker goes away and comes back, while events and commands are under way."""

from collections.abc import Callable

import anyio
import anyio.to_thread
import pytest

from purista_fast import Context, Event, Service, UnhandledError
from tests.broker.helpers import Bench, until
from tests.patience import patient

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("transport")]

numbered = Event("numbered", int)
SAVING = ["autosave_interval 1", "autosave_on_changes true"]


async def test_what_was_confirmed_is_handled_over_restarts_of_the_broker(own_bench: Callable[..., Bench]) -> None:
    """mosquitto saves before it stops, so nothing that it has acknowledged may be missing."""
    bench = own_bench(lines=SAVING)
    watch = Service("Watch")
    handled: list[int] = []
    confirmed: list[int] = []
    is_over = False

    @watch.subscription(numbered)
    async def on(ctx: Context, payload: int) -> None:
        handled.append(payload)

    @watch.command
    async def echo(ctx: Context, payload: int) -> int:
        return payload

    async with bench.serve(watch) as client:

        async def emit(first: int) -> None:
            number = first
            while not is_over:
                await client.emit(numbered, number)
                confirmed.append(number)
                number += 1

        async with anyio.create_task_group() as tasks:
            for first in (0, 1_000_000):
                tasks.start_soon(emit, first)
            for _ in range(3):
                before = len(confirmed)
                await until(lambda before=before: len(confirmed) > before + 50)
                await anyio.to_thread.run_sync(bench.broker.restart)
            before = len(confirmed)
            await until(lambda: len(confirmed) > before + 50)
            is_over = True
        await until(lambda: set(confirmed) <= set(handled))
        assert await client.invoke(echo, 7) == 7
        assert client.statistics()["reconnects"] >= 3
        for first in (0, 1_000_000):
            # First deliveries are in order; what comes again is left out.
            order = [number for number in dict.fromkeys(handled) if first <= number < first + 1_000_000]
            assert order == sorted(order)


async def test_without_a_broker_an_invocation_ends_with_504_and_an_emit_is_kept(
    own_bench: Callable[..., Bench],
) -> None:
    bench = own_bench({"emit_timeout": 0.3})
    service = Service("Ping")
    got: list[int] = []

    @service.subscription(numbered)
    async def on(ctx: Context, payload: int) -> None:
        got.append(payload)

    @service.command
    async def ping(ctx: Context) -> str:
        return "pong"

    async with bench.serve(service, queue_timeout=0.2) as client, bench.connect() as stateless:
        await anyio.to_thread.run_sync(bench.broker.stop)
        await until(lambda: not client.statistics()["connected"] and not stateless.statistics()["connected"])
        with pytest.raises(UnhandledError) as caught:
            await client.invoke(ping.using(timeout=0.3))
        assert int(caught.value.status) == 504
        with pytest.raises(UnhandledError) as caught:
            await stateless.emit(numbered, 1)
        assert int(caught.value.status) == 503
        assert "no connection to 127.0.0.1" in caught.value.message
        await client.emit(numbered, 2)
        assert client.statistics()["outbox"]["messages"] == 1
        await anyio.to_thread.run_sync(bench.broker.start)
        await until(lambda: client.statistics()["connected"])
        assert await client.invoke(ping) == "pong"
        await until(lambda: got == [2] and not client.statistics()["outbox"]["messages"])


async def test_a_stop_without_a_broker_does_not_wait_for_it(own_bench: Callable[..., Bench]) -> None:
    bench = own_bench()
    service = Service("Ping")

    @service.command
    async def ping(ctx: Context) -> str:
        return "pong"

    # The drain says good-bye for at most `queue_timeout`, twice; without that bound it would be `emit_timeout`.
    with anyio.fail_after(patient(20)):
        async with bench.serve(service, queue_timeout=0.1, emit_timeout=1000.0) as client:
            await anyio.to_thread.run_sync(bench.broker.stop)
            await until(lambda: not client.statistics()["connected"])
