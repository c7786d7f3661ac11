"""One application, placed by profiles: processes of one code base that meet on a broker."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from purista_fast import remote
from tests.broker.helpers import Bench, until
from tests.broker.runs import Run
from tests.patience import patient

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]
PLACED = """
import os
from msgspec import Struct
from purista_fast import App, Context, Event, Service

class Limits(Struct):
    factor: int = 1

reading = Event("reading", int, durability="disk")
sensor, fleet = Service("Sensor", config=Limits), Service("Fleet")

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

@fleet.command(invokes=[], emits=[])
async def calibrate(ctx: Context, payload: int) -> int:
    return payload + 1

@sensor.command(invokes=[calibrate], emits=[reading])
async def measure(ctx: Context[Limits], payload: int) -> int:
    value = ctx.config.factor * await ctx.invoke(calibrate, payload)
    await ctx.emit(reading, value)
    return value

@fleet.subscription(reading, invokes=[], emits=[])
async def keep(ctx: Context, payload: int) -> None:
    say("kept", ctx.instance_id, payload)

app = App(sensor, fleet, name="placed")
"""
PROFILES = """
[bridge]
url = "{url}"
prefix = "{prefix}"

[profile.edge]
services.enabled = ["Sensor"]
bridge.instance_id = "{prefix}_edge"
config.Sensor.factor = 10

[profile.cloud]
services.enabled = ["Fleet"]
bridge.instance_id = "{prefix}_cloud"
app.workers = 2
app.log_level = "DEBUG"
"""


@remote("Sensor", "1")
async def measure(ctx: Any, payload: int) -> int: ...


async def test_an_application_is_placed_by_its_profiles(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "placed.py").write_text(PLACED)
    (tmp_path / "purista.toml").write_text(PROFILES.format(url=bench.broker.url, prefix=bench.prefix))
    state = bench.state_dir / "state"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PURISTA_")}
    environment["STATE_DIRECTORY"] = str(state)

    async def cli(*words: str, **variables: str) -> str:
        def call() -> subprocess.CompletedProcess[str]:
            line = [sys.executable, "-m", "purista_fast.cli", *words]
            whole = {**environment, **variables}
            return subprocess.run(line, cwd=tmp_path, env=whole, capture_output=True, text=True, timeout=patient(30))

        done = await anyio.to_thread.run_sync(call)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    assert await cli("check", "placed:app") == "nothing is wrong in profiles edge, cloud of placed\n"
    found = json.loads(await cli("inspect", "placed:app", "--profile", "edge", "--json"))
    assert {service["name"]: service["enabled"] for service in found["services"]} == {"Sensor": True, "Fleet": False}

    cloud = Run(tmp_path, ["run", "placed:app", "--profile", "cloud"], environment)
    edge = Run(tmp_path, ["run", "placed:app"], {**environment, "PURISTA_PROFILE": "edge"})
    try:
        await until(lambda: "all workers are ready: 2" in cloud.log and "placed is ready" in edge.log)
        async with bench.connect() as client:
            values = [await client.invoke(measure, number) for number in range(20)]
        assert values == [10 * (number + 1) for number in range(20)]
        await until(lambda: sorted(int(value) for _, value in cloud.of("kept")) == values)
        assert {instance for instance, _ in cloud.of("kept")} == {f"{bench.prefix}_cloud_{n}" for n in (1, 2)}
        assert not edge.of("kept")
        status = json.loads(await cli("outbox", "status", "placed:app", "--profile", "edge", "--json"))
        assert status["running"]
        # The instance of another profile is not left behind.
        assert "has run beside this one" not in edge.log + cloud.log
        edge.process.terminate()
        cloud.process.terminate()
        assert (await edge.ended(), await cloud.ended()) == (0, 0)
    finally:
        edge.close()
        cloud.close()
    for words in (
        ("--profile", "edge"),
        *(("--profile", "cloud", "--instance", f"{bench.prefix}_cloud_{n}") for n in (1, 2)),
    ):
        assert "has ended for good" in await cli("retire", "placed:app", *words, "--quiet", "0.3")
    assert not (state / "placed").exists()
