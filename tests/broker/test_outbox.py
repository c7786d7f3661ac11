"""The outbox on a real broker: what goes to disk when, in which order it comes from there, and what ends it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from purista_fast import App, BridgeError, Context, DefinitionError, Event, Service, UnhandledError
from tests.broker.helpers import Bench, Cable, cable, until

pytestmark = pytest.mark.anyio

happened = Event("happened", int)
important = Event("important", int, durability="disk")
quick = Event("quick", int, ordered=False)


@pytest.fixture
def wire(bench: Bench) -> Iterator[Cable]:
    with cable(bench.broker.port) as made:
        yield made


def watch(*events: Event[int]) -> tuple[Service, list[tuple[str, int]]]:
    """A service that notes what it gets."""
    service = Service("Watch")
    got: list[tuple[str, int]] = []
    for event in events:

        @service.subscription(event, name=f"on_{event.name}")
        async def on(ctx: Context, payload: int) -> None:
            got.append((ctx.message.event_name or "", payload))

    return service, got


def serve(bench: Bench, service: Service, *, outbox: dict[str, Any] | None = None, **bridge: Any) -> Any:
    tree = {**bench.tree(**bridge), "outbox": outbox or {}}
    return App(service, name="Device").serve(overrides=tree)


def through(wire: Cable) -> dict[str, Any]:
    return {"url": f"mqtt://127.0.0.1:{wire.port}"}


async def test_nothing_is_written_while_the_broker_answers(bench: Bench) -> None:
    service, got = watch(happened)
    async with serve(bench, service) as client:
        before = client.statistics()["outbox"]
        for number in range(20):
            await client.emit(happened, number)
        await until(lambda: len(got) == 20)
        assert client.statistics()["outbox"] == before
        assert before["spilled"] == 0


async def test_a_cut_cable_sends_events_to_disk_and_back_in_order(bench: Bench, wire: Cable) -> None:
    service, got = watch(happened)
    async with serve(bench, service, outbox={"spill_after": 0.1}, **through(wire)) as client:
        await client.emit(happened, 0)
        wire.cut()
        await until(lambda: not client.statistics()["connected"])
        for number in range(1, 50):
            await client.emit(happened, number)
        assert client.statistics()["outbox"]["messages"] == 49
        assert 0 < client.statistics()["outbox"]["bytes"] < 49 * 2000
        assert client.statistics()["outbox"]["oldest_age"] >= 0
        wire.mend()
        await until(lambda: len(got) >= 50)
        await until(lambda: client.statistics()["outbox"]["messages"] == 0)
    assert list(dict.fromkeys(got)) == [("happened", number) for number in range(50)]


async def test_new_events_wait_behind_the_backlog_of_their_name_and_unordered_ones_do_not(
    own_bench: Callable[..., Bench],
) -> None:
    bench = own_bench(lines=["max_inflight_messages 1"])
    emitter = Service("Emitter")
    with cable(bench.broker.port) as wire:
        service, got = watch(happened, quick)
        async with (
            bench.serve(service),
            serve(bench, emitter, outbox={"spill_after": 0.1}, **through(wire)) as client,
        ):
            wire.cut()
            await until(lambda: not client.statistics()["connected"])
            for number in range(300):
                await client.emit(happened, number)
            wire.mend()
            await until(lambda: client.statistics()["connected"])
            await client.emit(happened, 300)
            await client.emit(quick, 1)
            await until(lambda: len(got) >= 302)
            assert [pair for pair in dict.fromkeys(got) if pair[0] == "happened"] == [
                ("happened", number) for number in range(301)
            ]


async def test_what_is_on_disk_outlives_the_process_and_its_broker(own_bench: Callable[..., Bench]) -> None:
    bench = own_bench()
    service, got = watch(happened)
    async with serve(bench, service, outbox={"spill_after": 0.1}, queue_timeout=0.2) as client:
        await anyio.to_thread.run_sync(bench.broker.stop)
        await until(lambda: not client.statistics()["connected"])
        for number in range(10):
            await client.emit(happened, number)
    assert got == []
    await anyio.to_thread.run_sync(bench.broker.start)
    async with serve(bench, service) as client:
        await until(lambda: len(got) >= 10)
        await until(lambda: client.statistics()["outbox"]["messages"] == 0)
    assert got == [("happened", number) for number in range(10)]


async def test_disk_has_it_before_emit_returns_and_until_the_broker_has_had_time(bench: Bench) -> None:
    service, got = watch(important)
    async with serve(bench, service, outbox={"hold": 0.5}) as client:
        await client.emit(important, 1)
        assert client.statistics()["outbox"]["messages"] == 1
        await until(lambda: got)
        await until(lambda: client.statistics()["outbox"]["held"] == 1)
        await until(lambda: client.statistics()["outbox"]["messages"] == 0)
        assert client.statistics()["outbox"]["held"] == 0
    assert got == [("important", 1)]


async def test_what_a_broker_without_memory_lost_is_sent_again(own_bench: Callable[..., Bench]) -> None:
    """The broker is killed and comes back empty; the subscriber's process is a session of its own."""
    bench = own_bench(lines=["persistence false"])
    elsewhere = Service("Elsewhere")
    emitter = Service("Emitter")
    got: list[int] = []
    is_open = anyio.Event()

    @elsewhere.subscription(important)
    async def on(ctx: Context, payload: int) -> None:
        await is_open.wait()
        got.append(payload)

    async with (
        bench.serve(elsewhere, receive_maximum=1) as consumer,
        serve(bench, emitter, outbox={"durability": "disk", "hold": 60.0}) as client,
    ):
        for number in range(20):
            await client.emit(important, number)
        await until(lambda: client.statistics()["outbox"]["held"] == 20)
        await anyio.to_thread.run_sync(lambda: bench.broker.stop(9))  # type: ignore[arg-type]
        await until(lambda: not consumer.statistics()["connected"] and not client.statistics()["connected"])
        await anyio.to_thread.run_sync(bench.broker.start)
        is_open.set()
        await until(lambda: set(got) == set(range(20)))
        await client.emit(important, 20)
        await until(lambda: got[-1] == 20)


async def test_those_who_come_back_later_miss_nothing(
    own_bench: Callable[..., Bench],
) -> None:
    """A broker comes back without any subscription, and one subscriber long after the emitter."""
    bench = own_bench(lines=["persistence false"])
    late, got = watch(important)
    other, other_got = watch(quick)
    other.name = "Other"
    with cable(bench.broker.port) as wire:
        async with (
            bench.serve(late, **through(wire)) as away,
            bench.serve(other) as back,
            serve(bench, Service("Emitter"), outbox={"spill_after": 0.1, "hold": 60.0}) as client,
        ):
            await client.emit(important, 0)
            await until(lambda: got)
            await anyio.to_thread.run_sync(bench.broker.stop)
            wire.cut()
            await until(lambda: not any(one.statistics()["connected"] for one in (away, back, client)))
            for number in range(1, 20):
                await client.emit(important, number)
            await client.emit(quick, 1)
            await anyio.to_thread.run_sync(bench.broker.start)
            await until(lambda: other_got == [("quick", 1)])
            assert len(got) == 1
            wire.mend()
            await until(lambda: len(got) >= 20)
    assert list(dict.fromkeys(got)) == [("important", number) for number in range(20)]


async def test_a_broker_that_did_not_restart_gets_nothing_twice(bench: Bench, wire: Cable) -> None:
    service, got = watch(important)
    async with serve(bench, service, outbox={"hold": 60.0}, **through(wire)) as client:
        for number in range(20):
            await client.emit(important, number)
        await until(lambda: client.statistics()["outbox"]["held"] == 20)
        # The marker follows within a tick.
        topic = f"purista_fast/{bench.prefix}/marker/{client.instance_id}"

        with bench.peer() as peer:
            await anyio.to_thread.run_sync(peer.subscribe, topic)
            await until(lambda: peer.bodies and peer.bodies[-1]["seq"] == 20)
        wire.cut()
        await until(lambda: not client.statistics()["connected"])
        wire.mend()
        await until(lambda: client.statistics()["connected"])
        await client.emit(important, 20)
        await until(lambda: got and got[-1] == ("important", 20))
    assert got == [("important", number) for number in range(21)]


@pytest.mark.parametrize("overflow", ["reject", "drop_oldest", "drop_newest"])
async def test_a_full_outbox(own_bench: Callable[..., Bench], overflow: Any) -> None:
    bench = own_bench()
    event = Event("counted", int, overflow=overflow)
    service, got = watch(event)
    async with serve(bench, service, outbox={"spill_after": 0.1, "max_messages": 5}) as client:
        await anyio.to_thread.run_sync(bench.broker.stop)
        await until(lambda: not client.statistics()["connected"])
        for number in range(8):
            if overflow == "reject" and number >= 5:
                with pytest.raises(UnhandledError, match=r"507 .*5 messages of 5.*'counted'"):
                    await client.emit(event, number)
            else:
                await client.emit(event, number)
        statistics = client.statistics()["outbox"]
        assert statistics["messages"] == 5
        assert statistics["dropped"] == ({} if overflow == "reject" else {"full": 3})
        await anyio.to_thread.run_sync(bench.broker.start)
        await until(lambda: len(got) == 5)
        expected = range(3, 8) if overflow == "drop_oldest" else range(5)
        assert [number for _, number in got] == list(expected)
        await until(lambda: client.statistics()["outbox"]["messages"] == 0)


async def test_block_waits_for_room_in_a_handler_only_for_a_while(own_bench: Callable[..., Bench]) -> None:
    bench = own_bench()
    event = Event("counted", int, overflow="block")
    service, got = watch(event)

    @service.command
    async def count(ctx: Context, payload: int) -> None:
        await ctx.emit(event, payload)

    settings = {"spill_after": 0.1, "max_messages": 2}
    async with serve(bench, service, outbox=settings, queue_timeout=0.3, local_commands="prefer") as client:
        await anyio.to_thread.run_sync(bench.broker.stop)
        await until(lambda: not client.statistics()["connected"])
        for number in range(2):
            await client.emit(event, number)
        with pytest.raises(UnhandledError):
            await client.invoke(count, 7)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.emit, event, 2)
            await anyio.wait_all_tasks_blocked()
            await anyio.to_thread.run_sync(bench.broker.start)
        await until(lambda: len(got) == 3)
        assert [number for _, number in got] == [0, 1, 2]


async def test_the_time_spent_waiting_is_taken_off_the_expiry(own_bench: Callable[..., Bench]) -> None:
    bench = own_bench({"message_expiry": 100.0})
    async with serve(bench, Service("Emitter"), outbox={"spill_after": 0.1}) as client:
        await client.emit(happened, 0)
        await anyio.to_thread.run_sync(bench.broker.stop)
        await until(lambda: not client.statistics()["connected"])
        await client.emit(happened, 1)
        await until(lambda: client.statistics()["outbox"]["oldest_age"] > 1.1)
        await anyio.to_thread.run_sync(bench.broker.start)
        with bench.peer() as peer:
            await anyio.to_thread.run_sync(peer.subscribe, bench.topic("custom_message").replace("none", "+"))
            await until(lambda: peer.messages)
            assert 0 < peer.messages[0].properties.MessageExpiryInterval <= 99  # type: ignore[union-attr]


async def test_what_is_too_old_is_dropped(own_bench: Callable[..., Bench]) -> None:
    bench = own_bench()
    service, got = watch(happened)
    async with serve(bench, service, outbox={"spill_after": 0.1, "max_age": 1.0}) as client:
        await anyio.to_thread.run_sync(bench.broker.stop)
        await until(lambda: not client.statistics()["connected"])
        await client.emit(happened, 1)
        await until(lambda: client.statistics()["outbox"]["oldest_age"] > 1.0)
        await anyio.to_thread.run_sync(bench.broker.start)
        await until(lambda: client.statistics()["outbox"]["dropped"] == {"too old": 1})
        await until(lambda: client.statistics()["outbox"]["messages"] == 0 and client.statistics()["connected"])
        await client.emit(happened, 2)
        await until(lambda: got == [("happened", 2)])


async def test_what_the_broker_refuses_is_a_dead_letter_and_holds_up_nobody(own_bench: Callable[..., Bench]) -> None:
    bench = own_bench()
    service, got = watch(happened)
    async with serve(bench, service, outbox={"spill_after": 0.1}) as client:
        await anyio.to_thread.run_sync(bench.broker.stop)
        await until(lambda: not client.statistics()["connected"])
        await client.emit("large", "x" * 5000)
        await client.emit(happened, 1)
        bench.broker.add("max_packet_size 3000")
        await anyio.to_thread.run_sync(bench.broker.start)
        await until(lambda: got == [("happened", 1)])
        await until(lambda: client.statistics()["dead_letters"]["messages"] == 1)
        await until(lambda: client.statistics()["outbox"]["messages"] == 0)


async def test_a_bridge_without_a_disk_refuses_what_asks_for_it() -> None:
    emitter = Service("Emitter")

    @emitter.command(success_event=important)
    async def make(ctx: Context) -> int:
        return 1

    with pytest.raises(BridgeError, match=r"Emitter/1/make emits important with durability='disk', and memory://"):
        async with App(emitter).serve(bridge="memory://"):
            pass
    async with App(Service("Other")).serve(bridge="memory://") as client:
        with pytest.raises(BridgeError, match="emits 'important' with durability='disk'"):
            await client.emit(important, 1)
    with pytest.raises(DefinitionError, match="durability='paper'"):
        Event("odd", int, durability="paper")  # type: ignore[call-overload]


async def test_secrets_and_rights(bench: Bench, tmp_path: Path) -> None:
    service, _ = watch(happened)
    async with serve(bench, service, outbox={"durability": "disk"}) as client:
        await client.emit(happened, 1)
        folder = tmp_path / "Device" / client.instance_id
        files = [file for file in folder.iterdir() if file.name.startswith("messages.db")]
        assert files
        assert [file for file in files if file.stat().st_mode & 0o077] == []
