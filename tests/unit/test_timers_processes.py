"""Timers of real processes that are killed, on wall clocks that jump."""

import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.faults.lab.shims import FakeClock

PROGRAM = textwrap.dedent("""
    import sys, time
    import anyio
    from purista_fast import App, Context, Service
    import purista_fast.timers_kept as kept

    kept._LOOK = 0.05
    folder, missed, trust, backend = sys.argv[1:]
    service = Service("Clock")

    @service.cron("0 3 * * *", missed=missed)
    async def nightly(ctx: Context) -> None:
        print("nightly", int(time.time()), flush=True)

    @service.every(3600.0, missed=missed)
    async def hourly(ctx: Context) -> None:
        print("hourly", int(time.time()), flush=True)

    @service.every(0.02)
    async def pulse(ctx: Context) -> None:
        print("pulse", flush=True)

    async def main():
        overrides = {"storage": {"state_dir": folder}, "states": {"trust_clock": trust}}
        async with App(service).serve(bridge="memory://", overrides=overrides):
            print("ready", flush=True)
            await anyio.sleep_forever()

    anyio.run(main, backend=backend)
""")


class Program:
    """The process, and what it has said."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def until(self, word: str) -> list[str]:
        """The first words of its lines up to one that begins so."""
        assert self.process.stdout is not None
        found: list[str] = []
        for line in self.process.stdout:
            found.append(line.split()[0])
            if found[-1] == word:
                return found
        raise AssertionError(f"it ended without {word!r}: {found}")

    def pulses(self, count: int = 10) -> set[str]:
        """What else it says while it is seen to live on."""
        return {word for _ in range(count) for word in self.until("pulse")} - {"pulse"}


class Lab:
    def __init__(self, folder: Path, backend: str) -> None:
        self.folder = folder
        self.backend = backend
        self.clock = FakeClock(folder)
        # 02:59:58 of tomorrow
        night = datetime.now(UTC).replace(hour=3, minute=0, second=0, microsecond=0) + timedelta(days=1)
        self.night = int(night.timestamp() - time.time())
        self.at(-2)

    def at(self, seconds: float) -> None:
        """Sets the wall clock to so long after three o'clock, now."""
        self.clock.jump(self.night + seconds)

    @contextmanager
    def started(self, missed: str, trust: str) -> Iterator[Program]:
        command = [sys.executable, "-c", PROGRAM, str(self.folder / "state"), missed, trust, self.backend]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=self.environment()) as process:
            try:
                program = Program(process)
                program.until("ready")
                yield program
            finally:
                process.kill()

    def environment(self) -> dict[str, str]:
        import os

        return {**os.environ, **self.clock.environment}


@pytest.fixture(params=["asyncio", "trio"])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Lab:
    return Lab(tmp_path, request.param)


@pytest.mark.parametrize("trust", ["always", "never"])
def test_a_night_that_was_missed_is_made_good_after_kill_9(lab: Lab, trust: str) -> None:
    with lab.started("run_once", trust) as program:
        program.until("nightly")
    lab.at(60)
    with lab.started("run_once", trust) as program:
        assert "nightly" not in program.pulses(), "it has run already"
    lab.at(86400 + 7200)
    with lab.started("run_once", trust) as program:
        program.until("nightly")
        assert "nightly" not in program.pulses(), "one run for it"


def test_a_night_that_was_missed_is_left_out(lab: Lab) -> None:
    with lab.started("skip", "never") as program:
        program.until("nightly")
    lab.at(86400 + 7200)
    with lab.started("skip", "never") as program:
        assert program.pulses() == set()
        lab.at(2 * 86400 + 7200)
        assert program.pulses() == set(), "nor after a jump"


def test_a_clock_that_jumps_over_a_night(lab: Lab) -> None:
    lab.at(-7200)
    with lab.started("run_once", "never") as program:
        assert program.pulses() == set()
        lab.at(7200)
        program.until("nightly")
        lab.at(-600)
        assert program.pulses() == set()
        lab.at(-1)
        assert program.pulses(100) == set(), "three o'clock again, of the same night"
        lab.at(86400)
        program.until("nightly")


def test_an_interval_that_is_over_after_kill_9(lab: Lab) -> None:
    """By a wall clock that is trusted; by another one the time has not passed."""
    lab.at(10_000)
    with lab.started("run_once", "always") as program:
        assert program.pulses() == set()
    lab.at(10_000 + 3700)
    with lab.started("run_once", "always") as program:
        program.until("hourly")
        assert "hourly" not in program.pulses()
        lab.at(10_000 + 3 * 3600)
        program.until("hourly")
    lab.at(10_000 + 9 * 3600)
    with lab.started("run_once", "never") as program:
        assert program.pulses() == set()
