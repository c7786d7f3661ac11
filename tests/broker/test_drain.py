"""Stopping: what is under way is finished, what is not is left to others or to the broker."""

import anyio
import pytest

from purista_fast import Client, Context, Event, Service
from tests.broker.helpers import Bench, cable, until
from tests.patience import patient

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("transport")]
happened = Event("happened", int)


async def test_commands_that_run_are_answered_and_new_ones_go_to_others(bench: Bench) -> None:
    here, there = Service("Work"), Service("Work")
    go_on, entered = anyio.Event(), anyio.Event()
    answers: list[str] = []

    @here.command(name="work")
    async def slow(ctx: Context) -> str:
        entered.set()
        await go_on.wait()
        return "here"

    @there.command
    async def work(ctx: Context) -> str:
        return "there"

    async def call(client: Client) -> None:
        answers.append(await client.invoke(work))

    async def stop_slowly(client: Client) -> None:
        async with bench.serve(here, instance_id=f"first_{bench.prefix}"):
            tasks.start_soon(call, client)
            await entered.wait()
        ended.set()

    ended = anyio.Event()
    async with bench.connect() as client, client.listen(message_type="infoServiceDrain") as drains:  # noqa: SIM117 - the client outlives the tasks
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stop_slowly, client)
            await anext(drains)
            async with bench.serve(there, instance_id="second"):
                # The first instance still finishes, and takes no more.
                # The command and that for its health.
                await until(lambda: bench.broker.log.count(f"Received UNSUBSCRIBE from first_{bench.prefix}_c") == 2)
                assert [await client.invoke(work) for _ in range(6)] == ["there"] * 6
                assert answers == []
                go_on.set()
                with anyio.fail_after(patient(10)):
                    await ended.wait()
            await until(lambda: answers)
    assert answers == ["here"]


async def test_a_reconnect_while_draining_takes_no_new_commands(bench: Bench) -> None:
    service = Service("Work")
    go_on, entered = anyio.Event(), anyio.Event()

    @service.subscription(happened)
    async def on(ctx: Context, payload: int) -> None:
        entered.set()
        await go_on.wait()

    @service.command
    async def work(ctx: Context) -> str:
        return "done"

    ended = anyio.Event()
    edge = f"edge_{bench.prefix}"
    with cable(bench.broker.port) as wire:

        async def run() -> None:
            async with bench.serve(service, instance_id=edge, url=f"mqtt://127.0.0.1:{wire.port}") as client:
                await client.emit(happened, 1)
                await entered.wait()
            ended.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await until(lambda: f"Received UNSUBSCRIBE from {edge}_c" in bench.broker.log)
            wire.cut()
            connects = bench.broker.log.count(f" as {edge}_c ")
            wire.mend()
            await until(lambda: bench.broker.log.count(f" as {edge}_c ") > connects)
            await until(lambda: f"Sending SUBACK to {edge}_c" in bench.broker.log.rpartition(f" as {edge}_c ")[2])
            after = bench.broker.log.rpartition(f" as {edge}_c ")[2]
            assert "command/" not in "".join(
                line for line in after.splitlines() if f"{edge}_c" in line or "$share" in line
            )
            go_on.set()
            with anyio.fail_after(patient(10)):
                await ended.wait()


async def test_events_that_are_left_come_to_the_next_run(bench: Bench) -> None:
    got: list[int] = []
    go_on = anyio.Event()
    service = Service("Watch")

    @service.subscription(happened)
    async def on(ctx: Context, payload: int) -> None:
        if not go_on.is_set():
            await anyio.sleep_forever()
        got.append(payload)

    async with bench.serve(service, drain=0.05, receive_maximum=2) as client:
        for number in range(5):
            await client.emit(happened, number)
        await until(lambda: client.statistics()["unacknowledged"] == 2)
    go_on.set()
    async with bench.serve(service):
        await until(lambda: len(got) >= 5)
    assert got == [0, 1, 2, 3, 4]
