"""How instances are, asked over a broker."""

import json
from collections.abc import Iterator

import anyio
import anyio.to_thread
import pytest
from click.testing import CliRunner

from purista_fast import Context, Event, Service
from purista_fast.cli.commands import main
from purista_fast.health import health
from tests.broker.helpers import Bench, Cable, cable, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("transport")]
happened = Event("happened", int)


@pytest.fixture
def wire(bench: Bench) -> Iterator[Cable]:
    with cable(bench.broker.port) as made:
        yield made


def busy_service() -> tuple[Service, anyio.Event]:
    service, go_on = Service("Busy"), anyio.Event()

    @service.command
    async def work(ctx: Context) -> None:
        await go_on.wait()

    return service, go_on


async def test_each_instance_answers_for_itself(bench: Bench) -> None:
    async with (
        bench.serve(Service("A"), instance_id="one"),
        bench.serve(Service("A"), name="other", instance_id="two"),
        bench.connect() as client,
    ):
        for _ in range(5):
            for instance_id in ("one", "two"):
                found = await client.invoke(health.using(instance_id=instance_id, timeout=5.0))
                assert found.instance_id == instance_id
                assert found.connected_for is not None
                assert 0 < found.connected_for <= found.up_for


async def test_it_is_answered_when_no_command_has_room(bench: Bench) -> None:
    service, go_on = busy_service()
    async with (
        bench.serve(service, instance_id="edge", max_commands=1),
        bench.connect() as client,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(client.invoke, service.commands["work"])
        found = await client.invoke(health.using(instance_id="edge", timeout=5.0))
        while not found.commands_running:
            found = await client.invoke(health.using(instance_id="edge", timeout=5.0))
        go_on.set()


async def test_the_connection_s_time_begins_anew_with_each(bench: Bench, wire: Cable) -> None:
    async with bench.serve(Service("A"), url=f"mqtt://127.0.0.1:{wire.port}") as serving:
        first = serving.health()
        assert first.connected_for is not None
        wire.cut()
        await until(lambda: not serving.health().connected)
        assert serving.health().connected_for is None
        wire.mend()
        await until(lambda: serving.health().connected)
        again = serving.health()
        assert again.connected_for is not None
        assert again.connected_for < again.up_for - first.up_for
        assert again.reconnects >= 1


async def test_nobody_is_told_of_it(bench: Bench) -> None:
    service, _ = busy_service()
    with bench.peer() as peer:
        peer.subscribe(bench.topic("+", *["+"] * 11))
        async with bench.serve(service):
            await until(lambda: len(peer.messages) >= 3)
        await until(lambda: any(body["messageType"] == "infoServiceShutdown" for body in peer.bodies))
        assert {body["sender"]["serviceName"] for body in peer.bodies} == {"Busy"}


async def test_the_command_line_prints_them(bench: Bench) -> None:
    environment = {"PURISTA_BRIDGE__PREFIX": bench.prefix}

    def run(*more: str) -> tuple[int, str]:
        arguments = ["health", "--bridge", bench.broker.url, "--timeout", "0.5", *more]
        done = CliRunner(env=environment).invoke(main, arguments)
        return done.exit_code, done.output

    async with bench.serve(Service("A"), instance_id="one"), bench.serve(Service("B"), instance_id="two"):
        code, output = await anyio.to_thread.run_sync(run, "--json")
        assert code == 0
        assert [json.loads(text)["instanceId"] for text in output.splitlines()] == ["one", "two"]
        code, output = await anyio.to_thread.run_sync(run, "--instance", "two")
        assert code == 0
        assert output.startswith("two  B, up for ")
        code, output = await anyio.to_thread.run_sync(run, "--instance", "nobody")
        assert code == 1
        assert "nobody: no answer: 504" in output
