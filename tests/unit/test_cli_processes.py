"""The command line as processes: signals, pipes, and services that meet on a broker."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mosquitto import mosquitto
from tests.patience import patient

Start = Callable[..., subprocess.Popen[str]]

WORKS = """
import anyio
from purista_fast import App, Context, Event, Service

job = Event("job", int)
works = Service("Works")
begun = False

@works.every(0.05)
async def begin(ctx: Context) -> None:
    global begun
    if not begun:
        begun = True
        await ctx.emit(job, 1)

@works.subscription(job)
async def work(ctx: Context, payload: int) -> None:
    print("begun", flush=True)
    await anyio.sleep(0.3)
    print("done", flush=True)

@works.command
async def wait(ctx: Context) -> None:
    print("waiting", flush=True)
    await anyio.sleep_forever()

@works.command
async def double(ctx: Context, payload: int) -> int:
    return payload * 2

@works.command
async def crash(ctx: Context) -> None:
    raise ValueError("two\\nlines")

app = App(works)
"""
TICKING = """
from purista_fast import App, Context, Service

clock = Service("Clock")

@clock.every(0.05)
async def tick(ctx: Context) -> None:
    await ctx.emit("tick", {"text": "\\x1b[2J" + "long " * 100})

app = App(clock)
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the command line in a folder with applications."""
    (tmp_path / "works.py").write_text(WORKS)
    (tmp_path / "ticking.py").write_text(TICKING)
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PURISTA_")}
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "purista_fast.cli", *arguments],
            cwd=tmp_path,
            env={**environ, "STATE_DIRECTORY": str(tmp_path / "state"), "PYTHONUTF8": "1", **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def read_until(stream: object, text: str) -> str:
    """Reads lines until one has the text; the test's own time limit ends a wait in vain."""
    seen = ""
    for line in stream:  # type: ignore[attr-defined]
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"{text!r} did not come: {seen!r}")


def end(process: subprocess.Popen[str], number: signal.Signals) -> tuple[str, str]:
    """Signals the process, and returns what it still printed."""
    process.send_signal(number)
    return process.communicate(timeout=patient(20))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_finishes_what_is_under_way(start: Start, backend: str, number: signal.Signals) -> None:
    process = start("run", "works:app", "--backend", backend)
    log = read_until(process.stderr, "is ready")
    read_until(process.stdout, "begun")
    printed, logged = end(process, number)
    assert process.returncode == 0, logged
    assert printed == "done\n"
    for line in (log + logged).splitlines():
        assert line[:4].isdigit(), line
        assert " INFO    purista_fast." in line
    assert f"{number.name}: stopping" in logged


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_start_that_waits_for_the_broker_ends(start: Start, backend: str, number: signal.Signals) -> None:
    line = ("run", "works:app", "--bridge", "mqtt://127.0.0.1:1", "--backend", backend)
    process = start(*line, PURISTA_BRIDGE__CONNECT_TIMEOUT="1h")
    read_until(process.stderr, "trying again")
    _, logged = end(process, number)
    assert process.returncode == 0, logged
    assert f"{number.name}: stopping" in logged
    assert "Traceback" not in logged


def test_the_level_of_the_log_is_a_setting(start: Start) -> None:
    process = start("run", "works:app", PURISTA_APP__LOG_LEVEL="WARNING")
    read_until(process.stdout, "done")
    _, logged = end(process, signal.SIGTERM)
    assert (process.returncode, logged) == (0, "")


def test_an_interrupted_invocation_is_code_130(start: Start) -> None:
    process = start("invoke", "--app", "works:app", "Works/1/wait")
    read_until(process.stdout, "waiting")
    _, errors = end(process, signal.SIGINT)
    assert (process.returncode, errors) == (130, "interrupted\n")


def test_a_crash_is_logged_in_one_line(start: Start) -> None:
    process = start("invoke", "--app", "works:app", "Works/1/crash")
    _, errors = process.communicate(timeout=patient(20))
    log, failure = errors.splitlines()
    assert "ERROR   purista_fast.service.Works: Works/1/crash failed" in log
    assert "[ValueError: two\\nlines at works.py:" in log
    assert failure.startswith("purista-fast: 500 Internal Server Error (trace ")


def test_listen_prints_a_line_for_each_message(start: Start) -> None:
    process = start("listen", "--app", "ticking:app", "tick", "--count", "3")
    printed, _ = process.communicate(timeout=patient(20))
    assert process.returncode == 0
    lines = printed.splitlines()
    assert len(lines) == 3
    for line in lines:
        time, message_type, event, sender, payload = line.split(None, 4)
        assert (time[2], time[5], time[8]) == (":", ":", ".")
        assert (message_type, event, sender) == ("customMessage", "tick", "Clock/1/tick")
        assert payload.startswith('{"text":"\\u001b[2Jlong long')
        assert line.endswith("…")
        assert len(line) == 200


def test_listen_prints_whole_messages_as_json(start: Start) -> None:
    process = start("listen", "--app", "ticking:app", "--type", "customMessage", "--json", "--count", "2")
    printed, _ = process.communicate(timeout=patient(20))
    messages = [json.loads(line) for line in printed.splitlines()]
    assert [message["eventName"] for message in messages] == ["tick", "tick"]
    assert messages[0]["payload"]["text"].endswith("long ")
    assert messages[0]["sender"]["serviceName"] == "Clock"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_listen_ends_with_a_signal(start: Start, number: signal.Signals) -> None:
    process = start("listen", "--app", "ticking:app")
    read_until(process.stdout, "tick")
    _, errors = end(process, number)
    assert process.returncode == 0
    assert errors.splitlines()[0].startswith("listening to everything as instance ")
    assert "Traceback" not in errors


@pytest.mark.parametrize("event", ["tick", "never"])
def test_listen_ends_when_nobody_reads(start: Start, event: str) -> None:
    process = start("listen", "--app", "ticking:app", event)
    read_until(process.stderr, "listening to")
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(patient(20)) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""


def test_output_goes_to_a_terminal_without_utf8(start: Start) -> None:
    process = start("invoke", "--app", "works:app", "Works/1/double", '"ü"', PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    process.communicate(timeout=patient(20))
    assert process.returncode == 1
    process = start("inspect", "works:app", PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    printed, _ = process.communicate(timeout=patient(20))
    assert process.returncode == 0
    assert "\\u2192" in printed


def test_commands_reach_services_over_a_broker(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    with mosquitto(folder) as broker:
        running = start("run", "works:app", "--bridge", broker.url)
        read_until(running.stderr, "is ready")
        listening = start("listen", "hello", "--json", "--bridge", broker.url)
        read_until(listening.stderr, "listening to hello")

        double = start("invoke", "Works/1/double", "21", "--bridge", broker.url)
        assert double.communicate(timeout=patient(20)) == ("42\n", "")
        slow = start("invoke", "Works/1/wait", "--timeout", "0.3", "--bridge", broker.url)
        _, errors = slow.communicate(timeout=patient(20))
        assert slow.returncode == 1
        assert errors.startswith("purista-fast: 504 ")

        origin = ("--principal", "ann", "--tenant", "acme", "--trace", "t1")
        emit = start("emit", "hello", '{"a": "ü"}', *origin, "--bridge", broker.url)
        assert emit.communicate(timeout=patient(20)) == ("", "")
        assert listening.stdout is not None
        message = json.loads(listening.stdout.readline())
        assert message["payload"] == {"a": "ü"}
        assert [message[key] for key in ("principalId", "tenantId", "traceId")] == ["ann", "acme", "t1"]
        assert message["sender"]["serviceName"] == "CommandLine"

        end(listening, signal.SIGINT)
        end(running, signal.SIGTERM)
        assert (listening.returncode, running.returncode) == (0, 0)
