"""The command line on what a running application keeps on disk."""

import json
import subprocess
import sys
from collections.abc import Callable

import anyio
import anyio.to_thread
import pytest

from purista_fast import Context, Event, Service
from purista_fast.policy import Retry
from purista_fast.storage import database
from tests.broker.helpers import Bench, cable, until

pytestmark = pytest.mark.anyio
reading = Event("reading", int)


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_LOOK", 0.1)


async def command(*arguments: str) -> str:
    """Runs the command line in a process of its own, and returns what it prints."""

    def run() -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "purista_fast.cli", *arguments]
        return subprocess.run(words, capture_output=True, text=True, timeout=30)

    done = await anyio.to_thread.run_sync(run)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_a_dead_letter_is_sent_back_to_a_running_application(bench: Bench) -> None:
    thermo, handled, is_broken = Service("Thermo"), [], True

    @thermo.subscription(reading, retry=Retry(attempts=2, base=0.01))
    async def watch(ctx: Context, payload: int) -> None:
        if is_broken:
            raise ValueError("the sensor is unknown")
        handled.append(payload)

    async with bench.serve(thermo, instance_id="node") as client:
        folder = str(bench.state_dir / "Thermo" / "node")
        await client.emit(reading, 7)
        await until(lambda: client.statistics()["dead_letters"]["messages"] == 1)
        found = json.loads(await command("dead-letters", "list", "--state", folder, "--json"))
        assert (found["target"], found["attempts"], found["event"]) == ("Thermo/1/watch", 2, "reading")
        assert found["error"] == "ValueError: the sensor is unknown"
        status = json.loads(await command("outbox", "status", "--state", folder, "--json"))
        assert status["running"]
        assert status["deadLetters"]["messages"] == 1
        is_broken = False
        said = await command("dead-letters", "redrive", "--state", folder, str(found["number"]))
        assert said == "1 dead letters sent back to Thermo/1/watch\n"
        await until(lambda: handled == [7])
        await until(lambda: client.statistics()["dead_letters"]["messages"] == 0)
        await until(lambda: client.statistics()["retries"]["messages"] == 0)
        assert "nothing is wrong" in await command("outbox", "check", "--state", folder)


async def test_what_is_purged_is_not_sent_by_a_running_application(own_bench: Callable[..., Bench]) -> None:
    bench = own_bench()
    thermo, handled = Service("Thermo"), []

    @thermo.subscription(reading)
    async def watch(ctx: Context, payload: int) -> None:
        handled.append(payload)

    @thermo.subscription(Event("alarm", int))
    async def alarm(ctx: Context, payload: int) -> None:
        handled.append(payload)

    with cable(bench.broker.port) as link:
        bench.bridge["url"] = f"mqtt://127.0.0.1:{link.port}"
        async with bench.serve(thermo, instance_id="node") as client:
            folder = str(bench.state_dir / "Thermo" / "node")
            link.cut()
            await until(lambda: not client.statistics()["connected"])
            for number in range(5):
                await client.emit(reading, number)
            await client.emit("alarm", 100)
            assert len((await command("outbox", "export", "--state", folder)).splitlines()) == 6
            said = await command("outbox", "purge", "--state", folder, "--event", "reading", "--yes")
            assert said == "5 events deleted\n"
            await until(lambda: client.statistics()["outbox"]["messages"] == 1)
            link.mend()
            await until(lambda: 100 in handled)
            assert handled == [100]
            await client.emit(reading, 5)
            await until(lambda: handled == [100, 5])
            await until(lambda: client.statistics()["outbox"]["messages"] == 0)
            assert client.statistics()["outbox"]["bytes"] == 0
