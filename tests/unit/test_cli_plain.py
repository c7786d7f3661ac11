"""``purista-fast run`` without click: it understands what click does; what is not needed is not imported."""

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from purista_fast.cli import plain
from purista_fast.cli.run import command
from tests.patience import patient

PROBE = """
import os, signal, sys
from purista_fast import App, Context, Service

probe = Service("Probe")

@probe.every(0.05)
async def tell(ctx: Context) -> None:
    print(*sys.modules, flush=True)
    os.kill(os.getpid(), signal.SIGTERM)

@probe.command
async def double(ctx: Context, payload: int) -> int:
    return payload * 2

app = App(probe)
"""


@pytest.mark.parametrize(
    "line",
    [
        "a:b",
        "a:b --bridge mqtt://localhost:1883",
        "--bridge=memory:// a:b",
        "--profile edge --config=edge.toml a:b --verbose",
        "--verbose --verbose a:b",
        "a:b --workers 4",
    ],
)
def test_a_plain_line_means_what_it_means_to_click(line: str) -> None:
    found = plain.parse(["run", *line.split()])
    assert found is not None
    params = command.make_context("run", line.split()).params
    assert {name: getattr(found, name) for name in params} == params


@pytest.mark.parametrize("line", ["a:b", "a:b --bridge memory:// --config edge.toml --workers 3 --verbose"])
def test_what_a_worker_is_started_with_needs_no_click(line: str) -> None:
    found = plain.parse(["run", *line.split()])
    assert found is not None
    assert plain.parse(found.words()) == found


@pytest.mark.parametrize(
    "line",
    [
        "",
        "run",
        "--version",
        "invoke a:b",
        "run --help",
        "run a:b -h",
        "run a:b c:d",
        "run a:b --bridge",
        "run a:b --bridge=",
        "run a:b --bridge --verbose",
        "run a:b --bridge memory:// --bridge mqtt://localhost",
        "run a:b --backend trio",
        "run a:b --unknown",
        "run a:b --verbose=yes",
        "run a:b --workers 0",
        "run a:b --workers four",
        "run a:b --workers 1000",
        "run -- a:b",
        "run -",
    ],
)
def test_all_else_is_left_to_click(line: str) -> None:
    assert plain.parse(line.split()) is None


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs ``purista-fast run`` to its end."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PURISTA_")}
    command = [sys.executable, "-m", "purista_fast.cli", "run", *words]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=patient(30))


def test_an_application_on_memory_imports_neither_click_nor_what_brokers_need(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(PROBE)
    done = run(tmp_path, "probe:app")
    assert done.returncode == 0, done.stderr
    modules = set(done.stdout.split())
    assert "purista_fast.bridges.memory" in modules
    unwanted = ("click", "hashlib", "paho", "pathlib", "purista_fast.bridges.mqtt", "purista_fast.storage", "random")
    assert not modules.intersection((*unwanted, "sqlite3", "urllib.parse"))


def test_errors_end_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "probe.py").write_text(PROBE)
    (tmp_path / "broken.py").write_text("raise OSError('no such pin')")
    missing = run(tmp_path, "probe:application")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "has no 'application'; it has probe:app" in missing.stderr
    wrong = run(tmp_path, "probe:app", "--bridge", "http://localhost")
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1)
    broken = run(tmp_path, "broken:app")
    assert (broken.returncode, broken.stderr.count("\n")) == (1, 1)
    assert "OSError: no such pin (broken.py:1)" in broken.stderr
    assert "Traceback" in run(tmp_path, "broken:app", "--verbose").stderr
    with pytest.raises(click.BadParameter):
        plain.start(plain.Line(application="probe"))
