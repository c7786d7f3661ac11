"""Who is alive: births, questions and answers, and what is told after a lost connection."""

import json
import time
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from click.testing import CliRunner

from purista_fast import Context, Service, UnhandledError
from purista_fast.cli.commands import main
from tests.broker.helpers import Bench, cable, until
from tests.mosquitto import Mosquitto, free_port

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("transport")]


def make_service(name: str, version: str = "1") -> Service:
    service = Service(name, version=version)

    @service.command
    async def ping(ctx: Context) -> str:
        return name

    return service


async def test_everybody_who_runs_services_answers(bench: Bench) -> None:
    both = (make_service("Thermo"), make_service("Hygro", "2"))
    async with bench.serve(*both, instance_id="edge") as edge, bench.serve(make_service("Fleet"), instance_id="cloud"):
        async with bench.connect() as client:
            found = await client.alive()
            assert [(one.instance_id, one.services) for one in found] == [
                ("cloud", [("Fleet", "1")]),
                ("edge", [("Hygro", "2"), ("Thermo", "1")]),
            ]
            for one in found:
                assert one.since is not None
                assert one.last_seen - 60 < one.since < one.last_seen <= time.time()
        assert [one.instance_id for one in await edge.alive(0.5)] == ["cloud", "edge"], "the asker is one of them"
    async with bench.connect() as client:
        assert await client.alive(0.3) == []


async def test_a_peer_without_purista_fast_asks_and_understands(bench: Bench) -> None:
    async with bench.serve(make_service("Thermo"), instance_id="edge"):
        with bench.peer("typescript") as peer:
            peer.subscribe(bench.topic("info_service_ready", *["+"] * 11))
            sender = {"serviceName": "X", "serviceVersion": "1", "serviceTarget": "t", "instanceId": "ts"}
            topic = bench.topic("custom_message", "none", "none", "ts", "x", "1", "t", "who_is_alive")
            question = {"messageType": "customMessage", "id": "a" * 32, "timestamp": 1, "sender": sender}
            peer.publish(topic, {**question, "eventName": "whoIsAlive"})
            await until(lambda: peer.bodies)
            (answer,) = peer.bodies
            assert answer["messageType"] == "infoServiceReady"
            assert answer["sender"] == {
                "serviceName": "Thermo",
                "serviceVersion": "1",
                "serviceTarget": "",
                "instanceId": "edge",
            }
            assert answer["payload"]["upFor"] >= 0


async def test_a_storm_of_questions_has_few_answers(bench: Bench) -> None:
    async with bench.serve(make_service("Thermo"), instance_id="edge") as serving, bench.connect() as client:
        with bench.peer() as peer:
            peer.subscribe(bench.topic("info_service_ready", *["+"] * 11))
            began = time.monotonic()
            for _ in range(500):
                await client.emit("whoIsAlive")
            await client.alive(1.0)
            took = time.monotonic() - began
            assert 1 <= len(peer.messages) <= took / 0.25 + 2
        assert serving.statistics()["subscriptions"]["PuristaFast/1/presence"]["waiting"] <= 1


async def test_readiness_is_told_again_after_each_lost_connection(bench: Bench) -> None:
    with cable(bench.broker.port) as wire:
        url = f"mqtt://127.0.0.1:{wire.port}"
        async with bench.serve(make_service("Thermo"), instance_id="edge", url=url) as serving:
            with bench.peer() as peer:
                peer.subscribe(bench.topic("info_service_ready", *["+"] * 11))
                for round_ in (1, 2):
                    wire.cut()
                    await until(lambda: not serving.statistics()["connected"])
                    wire.mend()
                    await until(lambda round_=round_: len(peer.messages) >= round_)
                assert {body["messageType"] for body in peer.bodies} == {"infoServiceReady"}


async def test_a_start_without_a_broker_is_told_later(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    late = Mosquitto(tmp_path / "broker")
    bench = Bench(late, tmp_path / "state")
    try:
        await anyio.to_thread.run_sync(late.start)
        with bench.peer() as peer:
            peer.subscribe(bench.topic("+", *["+"] * 11))
            with cable(late.port) as wire:
                wire.cut()
                url = f"mqtt://127.0.0.1:{wire.port}"
                async with bench.serve(make_service("Thermo"), instance_id="edge", url=url, wait_for_broker=False):
                    assert not peer.messages
                    wire.mend()
                    await until(lambda: len(peer.messages) >= 3)
                    kinds = [body["messageType"] for body in peer.bodies]
                    assert kinds[:3] == ["infoServiceInit", "infoServiceFunctionAdded", "infoServiceReady"]
    finally:
        await anyio.to_thread.run_sync(late.stop)


async def test_nobody_can_be_asked_without_a_broker(bench: Bench) -> None:
    async with bench.connect(url=f"mqtt://127.0.0.1:{free_port()}", wait_for_broker=False) as client:
        with pytest.raises(UnhandledError, match="503"):
            await client.alive(0.2)


async def test_the_command_line_prints_them(bench: Bench) -> None:
    arguments = ["alive", "--bridge", bench.broker.url, "--timeout", "0.5"]
    environment = {"PURISTA_BRIDGE__PREFIX": bench.prefix}

    def run(*more: str) -> str:
        done = CliRunner(env=environment).invoke(main, [*arguments, *more])
        assert done.exit_code == 0, done.output
        return done.output

    async with bench.serve(make_service("Thermo"), instance_id="edge"):
        (found,) = map(json.loads, (await anyio.to_thread.run_sync(run, "--json")).splitlines())
        assert (found["instance_id"], found["services"]) == ("edge", [["Thermo", "1"]])
        assert "Thermo/1" in await anyio.to_thread.run_sync(run)
    assert "nobody has answered within 0.5 s" in await anyio.to_thread.run_sync(run)
