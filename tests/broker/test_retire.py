"""The end of an instance for good, with a backlog, and beside another instance that shares its load."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from purista_fast import App, BridgeError, Context, Event, Service
from purista_fast.policy import Retry
from tests.broker.helpers import Bench, cable, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("transport")]
happened = Event("happened", int)
followed = Event("followed", int)


class Node:
    """An application whose handlers note what they see."""

    def __init__(self, bench: Bench, instance_id: str) -> None:
        self.bench = bench
        self.instance_id = instance_id
        self.seen: list[int] = []
        self.gate = anyio.Event()
        self.gate.set()
        service = self.service = Service("Watch")

        @service.command
        async def double(ctx: Context, payload: int) -> int:
            return payload * 2

        @service.subscription(happened)
        async def on(ctx: Context, payload: int) -> None:
            await self.gate.wait()
            self.seen.append(payload)
            await ctx.emit(followed, await ctx.invoke(double, payload))

    def serve(self) -> Any:
        return self.bench.serve(self.service, instance_id=self.instance_id)

    async def retire(self, **options: Any) -> Any:
        overrides = self.bench.tree(instance_id=self.instance_id)
        return await App(self.service).retire(overrides=overrides, **{"quiet": 0.5, "timeout": 15.0, **options})

    @property
    def folder(self) -> Path:
        return self.bench.state_dir / "Watch" / self.instance_id


async def backlog(node: Node, count: int) -> list[int]:
    """Events that wait in the broker for this instance alone."""
    async with node.serve():
        pass
    async with node.bench.connect() as client:
        for number in range(count):
            await client.emit(happened, number)
    return list(range(count))


async def test_what_waits_is_handled_and_nothing_stays(bench: Bench, tmp_path: Path) -> None:
    node = Node(bench, "edge")
    expected = await backlog(node, 250)
    async with bench.connect() as client, client.listen(message_type="infoServiceShutdown") as ends:
        async with client.listen(followed, buffer=1000) as results:
            outcome = await node.retire()
            got = [json.loads((await anext(results)).payload or b"") for _ in expected]
        assert (await anext(ends)).sender.instance_id == "edge"
        assert node.seen == expected
        assert sorted(got) == [2 * number for number in expected]
        assert (outcome.is_done, outcome.handled, outcome.kept) == (True, 250, None)
        assert not node.folder.exists()
        # The broker knows the session no more: a new one of the same id gets nothing of what is emitted meanwhile.
        await client.emit(happened, 1000)
    again = Node(bench, "edge")
    async with again.serve() as serving:
        await serving.emit(happened, 2000)
        await until(lambda: again.seen)
        assert again.seen == [2000]


async def test_the_other_instance_gets_everything_afterwards(bench: Bench, tmp_path: Path) -> None:
    """mosquitto hands a shared subscription's messages in turn to members that are away, too."""
    first = Node(bench, "first")
    second = Node(Bench(bench.broker, tmp_path / "second", prefix=bench.prefix), "second")
    async with second.serve() as serving:
        async with first.serve():
            pass
        for number in range(100):
            await serving.emit(happened, number)
        await until(lambda: len(second.seen) >= 50)
        assert len(second.seen) < 100, "half of it waits for the one that is away"
        outcome = await first.retire()
        assert outcome.is_done
        assert sorted(first.seen + second.seen) == list(range(100))
        taken = len(second.seen)
        for number in range(1000, 1100):
            await serving.emit(happened, number)
        await until(lambda: len(second.seen) == taken + 100)
    assert not [number for number in first.seen if number >= 1000]


async def test_an_instance_that_runs_is_not_retired(bench: Bench, tmp_path: Path) -> None:
    node = Node(bench, "edge")
    elsewhere = Node(Bench(bench.broker, tmp_path / "elsewhere", prefix=bench.prefix), "edge")
    async with node.serve() as serving:
        with pytest.raises(BridgeError, match="another process runs as instance 'edge'"):
            await node.retire()
        with pytest.raises(BridgeError, match=r"instance 'edge' is running: .*Stop it first"):
            await elsewhere.retire()
        await serving.emit(happened, 1)
        await until(lambda: node.seen == [1])
        assert serving.statistics()["reconnects"] == 0, "the attempt did not disturb it"


async def test_what_cannot_be_finished_is_kept(bench: Bench) -> None:
    node = Node(bench, "edge")
    expected = await backlog(node, 3)
    node.gate = anyio.Event()
    outcome = await node.retire(timeout=1.0)
    assert (outcome.is_done, outcome.is_ended, outcome.kept) == (False, False, str(node.folder))
    assert node.folder.exists()
    assert node.seen == []
    node.gate.set()
    outcome = await node.retire()
    assert outcome.is_done
    assert sorted(set(node.seen)) == expected


async def test_there_must_be_something_to_retire(bench: Bench, own_bench: Callable[..., Bench]) -> None:
    node = Node(bench, "edge")
    with pytest.raises(BridgeError, match="nothing to retire"):
        await App(node.service).retire(bridge="memory://")
    with pytest.raises(BridgeError, match=r"no instance of Watch has run .*bridge\.instance_id"):
        await App(node.service).retire(overrides=bench.tree())
    assert not (bench.state_dir / "Watch").exists()


async def test_an_id_that_was_made_is_forgotten(bench: Bench) -> None:
    node = Node(bench, "")
    async with bench.serve(node.service) as client:
        made = client.instance_id
    outcome = await App(node.service).retire(overrides=bench.tree(), quiet=0.5)
    assert (outcome.instance_id, outcome.is_done) == (made, True)
    assert not (bench.state_dir / "Watch").exists()


async def test_what_waits_on_disk_is_sent(bench: Bench) -> None:
    service = Service("Meter")

    @service.subscription(followed)
    async def on(ctx: Context, payload: int) -> None: ...

    app = App(service)
    with cable(bench.broker.port) as wire:
        tree = bench.tree(instance_id="edge", url=f"mqtt://127.0.0.1:{wire.port}")
        tree["outbox"] = {"spill_after": 0.05}
        async with app.serve(overrides=tree) as serving:
            wire.cut()
            await until(lambda: not serving.statistics()["connected"])
            for number in range(5):
                await serving.emit(happened, number)
            assert serving.health().outbox.messages == 5
    async with bench.connect() as client, client.listen(happened) as messages:
        outcome = await app.retire(overrides=bench.tree(instance_id="edge"), quiet=0.5, timeout=15.0)
        assert (outcome.is_done, outcome.outbox) == (True, 0)
        assert [json.loads((await anext(messages)).payload or b"") for _ in range(5)] == list(range(5))
    assert not (bench.state_dir / "Meter").exists()


async def test_dead_letters_are_kept(bench: Bench) -> None:
    service = Service("Meter")

    @service.subscription(happened, retry=Retry(attempts=1))
    async def on(ctx: Context, payload: int) -> None:
        raise ValueError("never")

    app = App(service)
    async with bench.serve(service, instance_id="edge") as serving:
        await serving.emit(happened, 1)
        await until(lambda: serving.health().dead_letters == 1)
        assert serving.health().handler_errors == {"Meter/1/on": 1}
    for _ in range(2):
        outcome = await app.retire(overrides=bench.tree(instance_id="edge"), quiet=0.5, timeout=15.0)
        assert (outcome.is_done, outcome.is_ended, outcome.dead_letters) == (False, True, 1)
        assert outcome.kept == str(bench.state_dir / "Meter" / "edge")


async def test_the_command_line_says_what_is_left(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "node.py").write_text(
        "from purista_fast import App, Context, Event, Service\n"
        "service = Service('Watch')\n"
        "@service.subscription(Event('happened', int))\n"
        "async def on(ctx: Context, payload: int) -> None:\n"
        "    raise ValueError(payload)\n"
        "app = App(service)\n"
    )
    environment = {
        **os.environ,
        "PURISTA_BRIDGE__PREFIX": bench.prefix,
        "PURISTA_BRIDGE__INSTANCE_ID": "edge",
        "STATE_DIRECTORY": str(bench.state_dir),
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "purista_fast.cli", "retire", "node:app", "--bridge", bench.broker.url]
        return subprocess.run(
            [*command, *arguments], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
        )

    await backlog(Node(bench, "edge"), 2)
    done = await anyio.to_thread.run_sync(run, "--quiet", "0.5", "--timeout", "3")
    assert done.returncode == 1
    assert "2 messages wait for another attempt of their handler" in done.stderr
    assert "its state is kept in" in done.stderr
    assert "instance edge has not ended" in done.stdout
