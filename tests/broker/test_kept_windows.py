"""Windows that are kept in ``ctx.states``, fed by batches, in a process that is killed again and again."""

import json
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from purista_fast import Event, UnhandledError, remote
from purista_fast.prepare.windows import WindowsState
from tests.broker.helpers import Bench, until
from tests.broker.test_retries import ROOT
from tests.patience import patient

pytestmark = pytest.mark.anyio
measured = Event("measured", int)
EVENTS, KILLS = 400, 4

PROGRAM = """
import json, sys
sys.path.insert(0, {root!r})
from purista_fast import App, Batch, Context, Event, Service
from purista_fast.prepare import Kept, Tumbling
from purista_fast.prepare.windows import WindowsState

service = Service("Digest")
measured = Event("measured", int)
kept = Kept("windows", Tumbling(1e6, percentiles=(50,)))

@service.subscription(measured, batch=Batch(10, within=0.02))
async def take(ctx: Context, numbers: list[int]) -> None:
    async with kept.use(ctx.states) as windows:
        for number in numbers:
            windows.add(str(number % 3), 1.0, number)

@service.command
async def look(ctx: Context) -> WindowsState:
    async with kept.use(ctx.states) as windows:
        return windows.snapshot()

App(service, name="Device").run(overrides=json.loads(sys.argv[1]))
"""


@remote("Digest", "1")
async def look(ctx: object) -> WindowsState: ...  # type: ignore[empty-body]


def numbers(state: WindowsState) -> list[int]:
    return [int(value) for track in state.tracks.values() for part in track.parts.values() for value in part.values]


async def test_nothing_that_was_emitted_is_missing(bench: Bench, tmp_path: Path, anyio_backend: str) -> None:
    instance = f"kept_{anyio_backend}"
    program = tmp_path / "digest.py"
    program.write_text(PROGRAM.format(root=str(ROOT)))

    def run() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, str(program), json.dumps(bench.tree(instance_id=instance))])

    found: list[int] = []
    process = await anyio.to_thread.run_sync(run)
    try:
        async with bench.connect() as client:
            await until(lambda: f"Sending SUBACK to {instance}\n" in bench.broker.log)
            for number in range(EVENTS):
                await client.emit(measured, number)
                if number % (EVENTS // KILLS) == EVENTS // KILLS // 2:
                    process.kill()
                    assert await anyio.to_thread.run_sync(process.wait) == -signal.SIGKILL
                    process = await anyio.to_thread.run_sync(run)
            with anyio.move_on_after(patient(30)):
                while set(found) != set(range(EVENTS)):
                    with suppress(UnhandledError):  # it has not started yet
                        found = numbers(await client.invoke(look.using(timeout=1.0)))
        assert set(found) == set(range(EVENTS))
        # What was handled and not acknowledged when the process was killed came again: one batch each time.
        assert len(found) <= EVENTS + KILLS * 10
        process.send_signal(signal.SIGTERM)
        assert await anyio.to_thread.run_sync(process.wait) == 0
    finally:
        process.kill()
        process.wait()
