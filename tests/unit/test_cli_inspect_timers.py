"""``purista-fast inspect``: when handlers run next."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from purista_fast.cli.commands import main

MODULE = """
from msgspec import Struct
from purista_fast import App, Context, Service

class Pace(Struct):
    interval: float
    when: str = "30 4 * * *"

clock = Service("Clock", config=Pace)

@clock.cron("0 3 * * *", timezone="Europe/Berlin", jitter=60.0, missed="run_once")
async def nightly(ctx: Context) -> None: ...

@clock.cron(lambda pace: pace.when)
async def morning(ctx: Context) -> None: ...

@clock.every(lambda pace: pace.interval, jitter=0.1)
async def tick(ctx: Context) -> None: ...

app = App(clock)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "clocks.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def inspect(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["inspect", "clocks:app", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_next_runs(folder: Path) -> None:
    (folder / "purista.toml").write_text('[config.Clock]\ninterval = "5m"\n')
    found = {timer["name"]: timer for timer in json.loads(inspect("--json"))["services"][0]["timers"]}
    runs = [datetime.fromisoformat(run) for run in found["nightly"]["nextRuns"]]
    assert [(run.hour, run.minute) for run in runs] == [(3, 0)] * 3
    now = datetime.now(runs[0].tzinfo)
    assert now < runs[0] <= now + timedelta(hours=25)
    assert [(run.date() - runs[0].date()).days for run in runs] == [0, 1, 2]
    assert found["tick"]["interval"] == 300.0
    lines = [" ".join(line.split()) for line in inspect().splitlines()]
    assert "timer nightly cron 0 3 * * * Europe/Berlin, up to 60 s later, missed runs: one" in lines
    assert f"next {', '.join(found['nightly']['nextRuns'])}" in lines
    assert "timer morning cron 30 4 * * * UTC" in lines
    assert "timer tick every 300 s, up to 0.1 s later" in lines


def test_a_configuration_that_is_not_complete(folder: Path) -> None:
    lines = [" ".join(line.split()) for line in inspect().splitlines()]
    assert "timer tick by the configuration, up to 0.1 s later" in lines
    assert "the defaults: config.Clock: Object missing required field `interval`" in lines
    assert "timer nightly cron 0 3 * * * Europe/Berlin, up to 60 s later, missed runs: one" in lines
