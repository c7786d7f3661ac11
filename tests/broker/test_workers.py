"""``purista-fast run --workers``: real processes on a real broker."""

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from purista_fast import Event, connect, remote
from tests.broker.configured import configured
from tests.broker.helpers import PATIENCE, Bench, until
from tests.broker.runs import Run
from tests.patience import patient

pytestmark = pytest.mark.anyio
WORK = """
import os
import time
import anyio
from purista_fast import App, Context, Event, Service

work = Service("Work")

def say(*words):
    # Several processes write to one pipe: a line at once stays whole.
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

@work.command
async def who(ctx: Context) -> str:
    return ctx.instance_id

@work.command
async def hang(ctx: Context) -> None:
    say("hangs", ctx.instance_id)
    await anyio.sleep_forever()

@work.subscription(Event("job", int), concurrency=2)
async def job(ctx: Context, payload: int) -> None:
    say("begun", payload)
    await anyio.sleep(0.02)
    say("job", ctx.instance_id, payload)
    await ctx.emit("done", payload)

@work.subscription(Event("block", int))
async def block(ctx: Context, payload: int) -> None:
    if not os.path.exists("blocked"):  # once: it comes again
        open("blocked", "w").close()
        time.sleep(600)

@work.subscription(Event("slow", int))
async def slow(ctx: Context, payload: int) -> None:
    say("slow", payload)
    await anyio.sleep(0.5)
    say("slept", payload)

@work.every(0.05)
async def tick(ctx: Context) -> None:
    say("tick", ctx.instance_id)

app = App(work)
"""
one_loop = pytest.mark.parametrize("anyio_backend", ["asyncio"])
"""The workers run on a loop of their own; on which one the test waits for them does not matter."""
job = Event("job", int)
slow = Event("slow", int)


@remote("Work", "1")
async def who(ctx: Any) -> str: ...


@pytest.fixture
def run(bench: Bench, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    (tmp_path / "work.py").write_text(WORK)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PURISTA_")}
    started: list[Run] = []

    def start(*words: str, url: str | None = None, **variables: str) -> Run:
        own = {
            "PURISTA_BRIDGE__PREFIX": bench.prefix,
            "PURISTA_BRIDGE__INSTANCE_ID": bench.prefix,
            "PURISTA_APP__LOG_LEVEL": "DEBUG",
            "STATE_DIRECTORY": str(bench.state_dir / "state"),
        }
        line = ["run", "work:app", "--bridge", url or bench.broker.url, *words]
        started.append(Run(tmp_path, line, {**environment, **own, **variables}))
        return started[-1]

    yield start
    for running in started:
        running.close()


async def ready(running: Run, count: int) -> None:
    await until(lambda: f"all workers are ready: {count}" in running.log or running.process.poll() is not None)
    assert running.process.poll() is None, running.log


async def test_workers_share_the_load(bench: Bench, run: Callable[..., Run], anyio_backend: str) -> None:
    nodes = {f"{bench.prefix}_{number}" for number in (1, 2, 3)}
    running = run("--workers", "3", "--backend", anyio_backend)
    await ready(running, 3)
    async with bench.connect() as client:
        answers = Counter([await client.invoke(who) for _ in range(30)])
        for number in range(60):
            await client.emit(job, number)
        await until(lambda: len(running.of("job")) == 60)
    assert set(answers) == nodes
    handled = running.of("job")
    assert sorted(int(number) for _, number in handled) == list(range(60))
    assert {instance for instance, _ in handled} == nodes
    await until(lambda: running.of("tick"))
    # Nothing of this package, or of what it needs, is in the supervisor.
    mapped = await anyio.Path(f"/proc/{running.process.pid}/maps").read_text()
    assert not re.search("purista_fast|msgspec|site-packages", mapped)
    running.process.terminate()
    assert await running.ended() == 0, running.log
    assert {instance for (instance,) in running.of("tick")} == {f"{bench.prefix}_1"}
    assert {path.name for path in (bench.state_dir / "state" / "Work").iterdir()} == nodes
    for number in (1, 2, 3):
        assert f"worker {number} purista_fast.app: Work is ready as instance {bench.prefix}_{number}\n" in running.log
    assert " WARNING " not in running.log


@one_loop
async def test_a_worker_that_is_killed_loses_nothing(bench: Bench, run: Callable[..., Run]) -> None:
    running = run("--workers", "3")
    await ready(running, 3)
    victim = running.workers()[2]
    async with bench.connect() as client, client.listen(Event("done", int), buffer=1000) as follow_ups:
        for number in range(200):
            await client.emit(job, number)
            if number == 100:
                await until(lambda: any(instance == f"{bench.prefix}_2" for instance, _ in running.of("job")))
                os.kill(victim, signal.SIGKILL)
        await until(lambda: {int(number) for _, number in running.of("job")} == set(range(200)))
        # What the handlers emitted has come as well: of each at least one, as the handler runs again otherwise.
        done: set[int] = set()
        with anyio.fail_after(PATIENCE):
            while len(done) < 200:
                done.add(json.loads((await anext(follow_ups)).payload or b""))
    assert "worker 2 was ended by SIGKILL; it is started again in 0.5 s" in running.log
    await until(lambda: running.log.count("worker 2 purista_fast.app: Work is ready as instance") == 2)
    assert running.workers()[2] != victim
    running.process.terminate()
    assert await running.ended() == 0, running.log


@one_loop
async def test_a_stop_finishes_what_is_under_way(bench: Bench, run: Callable[..., Run]) -> None:
    running = run("--workers", "2")
    await ready(running, 2)
    async with bench.connect() as client:
        await client.emit(slow, 1)
        await client.emit(slow, 2)
        await until(lambda: len(running.of("slow")) == 2)
        running.process.send_signal(signal.SIGTERM)
        assert await running.ended() == 0, running.log
    assert sorted(running.of("slept")) == [["1"], ["2"]]


@one_loop
async def test_a_second_signal_ends_at_once(bench: Bench, run: Callable[..., Run]) -> None:
    running = run("--workers", "1", PURISTA_APP__DRAIN_TIMEOUT="600")
    await ready(running, 1)

    @remote("Work", "1")
    async def hang(ctx: Any) -> None: ...

    async def call() -> None:
        async with bench.connect() as client:
            await client.invoke(hang)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await until(lambda: running.of("hangs"))
        running.process.send_signal(signal.SIGINT)
        await until(lambda: "worker 1 purista_fast.app: SIGTERM: stopping" in running.log)
        running.process.send_signal(signal.SIGINT)
        assert await running.ended() == 1
        tasks.cancel_scope.cancel()


@one_loop
async def test_workers_end_with_their_supervisor(bench: Bench, run: Callable[..., Run]) -> None:
    running = run("--workers", "2")
    await ready(running, 2)
    async with bench.connect() as client:
        await client.emit(slow, 1)
        await until(lambda: running.of("slow"))
        running.process.kill()
        assert await running.ended() == -signal.SIGKILL
    assert running.of("slept") == [["1"]]
    assert running.log.count("purista_fast.app: SIGTERM: stopping") == 2


@one_loop
async def test_fewer_workers_leave_nothing_forgotten(bench: Bench, run: Callable[..., Run], tmp_path: Path) -> None:
    running = run("--workers", "2")
    await ready(running, 2)
    running.process.terminate()
    assert await running.ended() == 0
    async with bench.connect() as client:
        for number in range(20):
            await client.emit(job, number)
    (tmp_path / "purista.toml").write_text("[app]\nworkers = 1\n")
    running = run()
    await ready(running, 1)
    assert f"instance {bench.prefix}_2 has run beside this one" in running.log
    assert f"`purista-fast retire MODULE:APP --instance {bench.prefix}_2`" in running.log
    assert f"instance {bench.prefix}_1 has" not in running.log

    def retire(*words: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "purista_fast.cli", "retire", "work:app", "--bridge", bench.broker.url, *words]
        environment = {
            **os.environ,
            "PURISTA_BRIDGE__PREFIX": bench.prefix,
            "PURISTA_BRIDGE__INSTANCE_ID": bench.prefix,
            "STATE_DIRECTORY": str(bench.state_dir / "state"),
        }
        return subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=patient(30))

    unnamed = await anyio.to_thread.run_sync(retire)
    assert (unnamed.returncode, "name one by --instance" in unnamed.stderr) == (2, True)
    done = await anyio.to_thread.run_sync(retire, "--instance", f"{bench.prefix}_2", "--quiet", "0.5")
    assert done.returncode == 0, done.stderr
    assert f"instance {bench.prefix}_2 has ended for good" in done.stdout
    here = {int(number) for _, number in running.of("job")}
    there = {int(line.split()[2]) for line in done.stdout.splitlines() if line.startswith("job ")}
    assert here | there == set(range(20))
    assert here
    assert there
    assert [path.name for path in (bench.state_dir / "state" / "Work").iterdir()] == [f"{bench.prefix}_1"]
    running.process.terminate()
    assert await running.ended() == 0, running.log


@one_loop
async def test_a_worker_that_is_blocked_is_started_again(bench: Bench, run: Callable[..., Run]) -> None:
    running = run("--workers", "2", WATCHDOG_USEC="4000000")
    await ready(running, 2)
    async with bench.connect() as client:
        await client.emit(Event("block", int), 1)
        await until(lambda: "it is started again in 0.5 s" in running.log)
        assert "has not been alive for 4 s: it is killed" in running.log
        assert "was ended by SIGABRT" in running.log
        await client.emit(job, 1)
        await until(lambda: running.of("job"))
    await until(lambda: running.log.count("Work is ready as instance") >= 3)
    running.process.terminate()
    assert await running.ended() == 0, running.log


@one_loop
async def test_workers_under_access_rules(
    bench: Bench, run: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One user, one password, and an id for each worker."""
    (tmp_path / "workers.toml").write_text("[app]\nworkers = 2\n")
    options = ("work:app", "--config", str(tmp_path / "workers.toml"), "--instance", "node", "--client", "ops")
    with configured(tmp_path, monkeypatch, *options) as broker:
        login = broker.bridge_of("node", instance_id="node", prefix="purista")
        variables = {f"PURISTA_BRIDGE__{key.upper()}": value for key, value in login.items() if key != "url"}
        running = run("--config", "workers.toml", url=broker.url, **variables)
        await ready(running, 2)
        async with connect(overrides={"bridge": broker.bridge_of("ops")}, name="CommandLine") as client:
            assert {await client.invoke(who) for _ in range(10)} == {"node_1", "node_2"}
            assert {found.instance_id for found in await client.alive(timeout=0.5)} == {"node_1", "node_2"}
        running.process.terminate()
        assert await running.ended() == 0, running.log
    assert " WARNING " not in running.log
    assert " ERROR " not in running.log


@one_loop
async def test_memory_is_refused(run: Callable[..., Run]) -> None:
    running = run("--workers", "2", url="memory://")
    assert await running.ended() == 2
    assert "app.workers: memory:// does not leave its process, so 2 workers would share nothing" in running.log
    assert len(running.logged) == 1
