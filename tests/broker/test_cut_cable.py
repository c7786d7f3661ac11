"""A connection that is cut on the way, or falls silent, while the broker goes on."""

from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

from purista_fast import Context, Event, Service, UnhandledError
from purista_fast.bridges.mqtt import will
from tests.broker.helpers import Bench, Cable, cable, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("transport")]
happened = Event("happened", int)


@pytest.fixture
def wire(bench: Bench) -> Iterator[Cable]:
    """The way to the broker; ``mqtt://`` of the bench goes over it."""
    with cable(bench.broker.port) as made:
        yield made


def through(wire: Cable, **bridge: Any) -> dict[str, Any]:
    return {"url": f"mqtt://127.0.0.1:{wire.port}", **bridge}


def connections(count: int, statistics: Callable[[], dict[str, Any]]) -> Callable[[], bool]:
    return lambda: statistics()["connected"] and statistics()["reconnects"] >= count


async def test_events_of_the_time_in_between_are_sent_in_order_and_handled(bench: Bench, wire: Cable) -> None:
    watch = Service("Watch")
    got: list[int] = []

    @watch.subscription(happened)
    async def on(ctx: Context, payload: int) -> None:
        got.append(payload)

    async with bench.serve(watch, **through(wire)) as client, anyio.create_task_group() as tasks:
        await client.emit(happened, 0)
        wire.cut()
        await until(lambda: not client.statistics()["connected"])
        for number in range(1, 6):
            tasks.start_soon(client.emit, happened, number)
            await anyio.wait_all_tasks_blocked()
        assert client.statistics()["waiting_to_send"] == 5
        wire.mend()
        await until(lambda: len(got) >= 6)
    assert list(dict.fromkeys(got)) == [0, 1, 2, 3, 4, 5], "the cut may have swallowed the acknowledgement of the first"


async def test_commands_taps_and_answers_work_again(bench: Bench, wire: Cable) -> None:
    echo = Service("Echo")

    @echo.command
    async def say(ctx: Context, payload: str) -> str:
        return payload

    async with (
        bench.serve(echo, **through(wire)) as serving,
        bench.connect(**through(wire)) as client,
        client.listen(happened) as messages,
    ):
        for round_ in range(1, 4):
            wire.cut()
            await until(lambda: not serving.statistics()["connected"] and not client.statistics()["connected"])
            wire.mend()
            await until(connections(round_, serving.statistics))
            await until(connections(round_, client.statistics))
            assert await client.invoke(say, f"again {round_}") == f"again {round_}"
            await serving.emit(happened, round_)
            assert (await anext(messages)).payload == str(round_).encode()


async def test_a_command_whose_answer_is_lost_is_not_sent_again(bench: Bench, wire: Cable) -> None:
    slow = Service("Slow")
    runs: list[int] = []
    go_on = anyio.Event()

    @slow.command
    async def work(ctx: Context, payload: int) -> int:
        runs.append(payload)
        await go_on.wait()
        return payload

    async def call(client: Any) -> None:
        with pytest.raises(UnhandledError) as caught:
            await client.invoke(work.using(timeout=1.0), 1)
        assert caught.value.status == 504

    async with bench.serve(slow), bench.connect(**through(wire)) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(call, client)
        await until(lambda: runs)
        wire.cut()
        await until(lambda: not client.statistics()["connected"])
        go_on.set()
        wire.mend()
        await until(connections(1, client.statistics))
        assert await client.invoke(work, 2) == 2
    assert runs == [1, 2]


async def test_an_invocation_waits_for_the_connection(bench: Bench, wire: Cable) -> None:
    echo = Service("Echo")

    @echo.command
    async def say(ctx: Context, payload: str) -> str:
        return payload

    async with bench.serve(echo), bench.connect(**through(wire)) as client, anyio.create_task_group() as tasks:
        wire.cut()
        await until(lambda: not client.statistics()["connected"])
        answers: list[str] = []

        async def call() -> None:
            answers.append(await client.invoke(say, "patient"))

        tasks.start_soon(call)
        await until(lambda: client.statistics()["pending_invocations"] == 1)
        wire.mend()
        await until(lambda: answers)
    assert answers == ["patient"]


async def test_a_silent_broker_is_noticed(own_bench: Callable[..., Bench]) -> None:
    bench = own_bench({"keep_alive": 5})
    async with bench.connect() as client:
        with bench.broker.paused():
            await until(lambda: not client.statistics()["connected"])
        await until(connections(1, client.statistics))
        await client.emit(happened, 1)


async def test_the_will_tells_that_an_instance_is_gone(
    bench: Bench, wire: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(will, "_DELAY", 1)
    echo = Service("Echo", version="3")

    @echo.command
    async def say(ctx: Context, payload: str) -> str:
        return payload

    async with (
        bench.connect() as client,
        client.listen(message_type="infoServiceNotReady") as messages,
        client.listen(message_type="infoServiceShutdown") as ends,
    ):
        async with bench.serve(echo, instance_id="edge", **through(wire)) as serving:
            wire.cut()
            message = await anext(messages)
            assert message.to_dict()["payload"] == {"services": [{"serviceName": "Echo", "serviceVersion": "3"}]}
            assert (message.sender.service_name, message.sender.instance_id) == ("Echo", "edge")
            wire.mend()
            await until(connections(1, serving.statistics))
        # A stop that was meant is told by other messages.
        assert (await anext(ends)).sender.service_name == "Echo"
        with anyio.move_on_after(1.5):
            pytest.fail(f"{await anext(messages)!r} came after an orderly stop")
