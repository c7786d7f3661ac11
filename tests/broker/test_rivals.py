"""A client id that two processes fight for, and a link that only looks like that."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from purista_fast import BridgeError, Context, Event, Service
from purista_fast.bridges.mqtt import rivals
from tests.broker.helpers import Bench, cable, until
from tests.patience import patient

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("transport")]
happened = Event("happened", int)


def make_service(name: str) -> Service:
    service = Service(name)

    @service.command
    async def ping(ctx: Context) -> str:
        return name

    @service.subscription(happened)
    async def on(ctx: Context, payload: int) -> None: ...

    return service


async def test_one_of_two_processes_ends_and_the_other_goes_on(bench: Bench, tmp_path: Path) -> None:
    elsewhere = Bench(bench.broker, tmp_path / "elsewhere", prefix=bench.prefix)
    errors: dict[str, BridgeError] = {}
    running: dict[str, anyio.CancelScope] = {}
    calls: dict[str, Any] = {}

    async def run(where: Bench, name: str) -> None:
        service = make_service(name)
        calls[name] = service.commands["ping"]
        try:
            with anyio.CancelScope() as running[name]:
                async with where.serve(service, instance_id="twin"):
                    await anyio.sleep_forever()
        except BridgeError as error:
            errors[name] = error

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, bench, "First")
        tasks.start_soon(run, elsewhere, "Second")
        with anyio.fail_after(patient(60)):
            await until_one(errors)
        (ended,) = errors
        assert "another process has connected to 127.0.0.1" in str(errors[ended])
        assert "as 'twin_c'" in str(errors[ended])
        assert "bridge.instance_id" in str(errors[ended])
        other = "Second" if ended == "First" else "First"
        async with bench.connect() as client:
            assert await client.invoke(calls[other]) == other
        assert list(errors) == [ended]
        running[other].cancel()


async def until_one(errors: dict[str, BridgeError]) -> None:
    while not errors:  # noqa: ASYNC110 - longer than the patience of `until`
        await anyio.sleep(0.01)


async def test_a_link_that_flaps_is_no_other_process(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every connection is accepted, none lasts, and no attempt fails: all that is seen of a rival, but its answer."""
    monkeypatch.setattr(rivals, "_PATIENCE", 0.3)
    service = make_service("Watch")
    with cable(bench.broker.port) as wire:
        url = f"mqtt://127.0.0.1:{wire.port}"
        async with bench.serve(service, instance_id="flapping", url=url) as client:
            for _ in range(8):
                await until(lambda: client.statistics()["connected"])
                before = client.statistics()["reconnects"]
                wire.cut()
                wire.mend()
                await until(lambda before=before: client.statistics()["reconnects"] >= before + 1)
            await until(lambda: client.statistics()["connected"])
            async with bench.connect() as other:
                assert await other.invoke(service.commands["ping"]) == "Watch"


async def test_what_asks_is_answered_by_another_process_only(bench: Bench) -> None:
    service = make_service("Watch")
    async with bench.serve(service, instance_id="node"):
        ours = rivals.Rivals(_broker(bench), "node", bench.prefix, timeout=5.0)
        assert await ours.find()
        nobody = rivals.Rivals(_broker(bench), "nobody", bench.prefix, timeout=5.0)
        with anyio.fail_after(patient(20)):
            assert not await nobody.find()


async def test_no_broker_proves_nothing(own_bench: Callable[..., Bench]) -> None:
    bench = own_bench()
    asking = rivals.Rivals(_broker(bench), "node", bench.prefix, timeout=0.5)
    await anyio.to_thread.run_sync(bench.broker.stop)
    assert not await asking.find()


def _broker(bench: Bench) -> rivals.Broker:
    from purista_fast.config import BridgeSettings

    return rivals.Broker.of(BridgeSettings(url=bench.broker.url))
