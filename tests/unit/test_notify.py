"""Real processes tell a real socket how they are, as systemd has it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from purista_fast import ConfigError
from purista_fast.notify import Manager
from tests.mosquitto import Mosquitto, free_port, mosquitto
from tests.patience import patient

WORKS = """
import os, subprocess, sys, time
import anyio
from purista_fast import App, Context, Event, Service

long_one = Event("longOne", int)
works = Service("Works")

@works.every(0.05)
async def block(ctx: Context) -> None:
    if os.path.exists("block"):
        os.rename("block", "blocked")
        time.sleep(600)

@works.every(0.05)
async def begin(ctx: Context) -> None:
    if os.path.exists("long"):
        os.rename("long", "longer")
        await ctx.emit(long_one, 1)

@works.subscription(long_one)
async def long(ctx: Context, payload: int) -> None:
    while not os.path.exists("end"):
        await anyio.sleep(0.05)

app = App(works)
if not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}.isdisjoint(os.environ):
    print("not started yet", flush=True)

@works.every(0.05)
async def tell(ctx: Context) -> None:
    left = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(os.environ)
    print("left:", *left, "imported:", "purista_fast.notify" in sys.modules, flush=True)
"""


class Receiver:
    """What systemd would be: takes the messages of the processes that it starts."""

    def __init__(self, folder: Path, address: str | None = None) -> None:
        self.folder = folder
        self.address = address or str(folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.address[1:] if self.address.startswith("@") else self.address)
        self.socket.settimeout(20)
        self.started: list[subprocess.Popen[str]] = []
        (folder / "works.py").write_text(WORKS)

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        environ = {key: value for key, value in os.environ.items() if not key.startswith("PURISTA_")}
        process = subprocess.Popen(
            [sys.executable, "-m", "purista_fast.cli", "run", "works:app", *words],
            cwd=self.folder,
            env={**environ, "NOTIFY_SOCKET": self.address, "STATE_DIRECTORY": str(self.folder / "state"), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def next(self) -> dict[str, str]:
        lines = self.socket.recv(65_536).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def next_with(self, key: str) -> dict[str, str]:
        while key not in (found := self.next()):
            pass
        return found

    def nothing_more(self, seconds: float) -> bool:
        """Whether nothing comes for a while, beside what has come already."""
        self.socket.settimeout(0)
        try:
            while True:
                self.socket.recv(65_536)
        except BlockingIOError:
            pass
        self.socket.settimeout(seconds)
        try:
            self.socket.recv(65_536)
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(20)
        return False


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    made = Receiver(tmp_path)
    yield made
    end(made)


def end(made: Receiver) -> None:
    for process in made.started:
        if process.poll() is None:
            process.kill()
        process.communicate()
    made.socket.close()


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    def wait(condition: Callable[[], bool]) -> None:
        while not condition():
            time.sleep(0.01)

    return wait


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_ready_alive_and_stopping(receiver: Receiver, backend: str) -> None:
    process = receiver.start("--backend", backend, WATCHDOG_USEC="400000")
    first = receiver.next()
    assert first["READY"] == "1"
    assert first["WATCHDOG"] == "1"
    assert first["STATUS"].startswith("instance ")
    assert first["STATUS"].endswith(" on memory://")
    assert receiver.next() == receiver.next() == {"WATCHDOG": "1"}
    process.send_signal(signal.SIGTERM)
    last = receiver.next_with("STOPPING")
    assert last["STOPPING"] == "1"
    assert last["STATUS"] == "stopping: finishing what is under way"
    assert int(last["EXTEND_TIMEOUT_USEC"]) > 2 * 10_000_000, "drain_timeout is 10 s, and timers have it as well"
    _, logged = process.communicate(timeout=patient(20))
    assert process.returncode == 0, logged


def test_an_abstract_socket(tmp_path: Path) -> None:
    receiver = Receiver(tmp_path, f"@purista-fast-{os.getpid()}")
    try:
        receiver.start()
        assert receiver.next()["READY"] == "1"
    finally:
        end(receiver)


def test_no_watchdog_without_one_or_for_another_process(receiver: Receiver) -> None:
    for variables in ({}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}):
        process = receiver.start(**variables)
        assert set(receiver.next()) == {"READY", "STATUS"}
        assert receiver.nothing_more(0.3)
        process.kill()
        process.wait()


def test_children_do_not_speak_for_it(receiver: Receiver) -> None:
    process = receiver.start(WATCHDOG_USEC="1000000")
    assert process.stdout is not None
    assert process.stdout.readline() == "not started yet\n"
    assert process.stdout.readline() == "left: imported: True\n"


def test_without_a_socket_it_costs_nothing(receiver: Receiver) -> None:
    process = receiver.start(NOTIFY_SOCKET="")
    assert process.stdout is not None
    lines = iter(process.stdout)
    assert next(line for line in lines if line.startswith("left: ")).endswith("imported: False\n")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_blocked_loop_misses_the_watchdog_and_says_where(
    receiver: Receiver, backend: str, until: Callable[[Callable[[], bool]], None]
) -> None:
    process = receiver.start("--backend", backend, WATCHDOG_USEC="200000")
    receiver.next_with("READY")
    (receiver.folder / "block").touch()
    until((receiver.folder / "blocked").exists)
    assert receiver.nothing_more(1.0)
    process.send_signal(signal.SIGABRT)  # what systemd does then
    _, logged = process.communicate(timeout=patient(20))
    assert process.returncode == -signal.SIGABRT
    assert "works.py" in logged
    assert "in block" in logged


def test_a_drain_goes_on_with_signs_of_life(receiver: Receiver, until: Callable[[Callable[[], bool]], None]) -> None:
    process = receiver.start(WATCHDOG_USEC="200000", PURISTA_APP__DRAIN_TIMEOUT="60")
    receiver.next_with("READY")
    (receiver.folder / "long").touch()
    until((receiver.folder / "longer").exists)
    process.send_signal(signal.SIGTERM)
    assert int(receiver.next_with("STOPPING")["EXTEND_TIMEOUT_USEC"]) > 120_000_000
    for _ in range(5):
        assert receiver.next() == {"WATCHDOG": "1"}
    (receiver.folder / "end").touch()
    _, logged = process.communicate(timeout=patient(20))
    assert process.returncode == 0, logged


def test_a_broker_that_is_away_is_no_reason(receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    broker = Mosquitto(tmp_path / "broker")
    receiver.start(*("--bridge", broker.url), WATCHDOG_USEC="400000", PURISTA_BRIDGE__WAIT_FOR_BROKER="false")
    first = receiver.next()
    assert first["READY"] == "1"
    assert f"without a connection to {broker.url}, trying again" in first["STATUS"]
    assert first["WATCHDOG"] == "1"
    broker.start()
    try:
        assert receiver.next_with("STATUS")["STATUS"].endswith(f" on {broker.url}")
    finally:
        broker.stop()
    lost = receiver.next_with("STATUS")
    assert "without a connection" in lost["STATUS"]
    assert lost["WATCHDOG"] == "1"
    assert receiver.next() == receiver.next() == {"WATCHDOG": "1"}


def test_the_uplink_is_told_of(receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    broker = Mosquitto(tmp_path / "broker")
    (tmp_path / "purista.toml").write_text(f'[uplink]\nurl = "{broker.url}"\nevents = ["*"]\n')
    receiver.start(WATCHDOG_USEC="400000")
    first = receiver.next()
    assert first["STATUS"].endswith(" on memory://; uplink not connected")
    assert first["WATCHDOG"] == "1"
    broker.start()
    try:
        assert receiver.next_with("STATUS")["STATUS"].endswith(" on memory://; uplink connected")
    finally:
        broker.stop()


def test_workers_are_watched_by_their_supervisor(receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    with mosquitto(tmp_path / "broker") as broker:
        process = receiver.start("--workers", "2", "--bridge", broker.url, WATCHDOG_USEC="4000000")
        receiver.next_with("READY")
        (receiver.folder / "block").touch()
        assert process.stderr is not None
        log = ""
        while "worker 1 was ended by SIGABRT" not in log:
            log += (line := process.stderr.readline())
            assert line, log
        assert "worker 1 has not been alive for 4 s" in log
        assert "in block" in log
        while not receiver.next_with("STATUS")["STATUS"].startswith("2 of 2 "):
            pass
        process.send_signal(signal.SIGTERM)
        assert receiver.next_with("STOPPING")["STOPPING"] == "1"
        process.communicate(timeout=patient(30))
    assert process.returncode == 0


def test_a_start_that_fails_is_never_ready(receiver: Receiver) -> None:
    process = receiver.start(
        "--bridge", f"mqtt://localhost:{free_port()}", PURISTA_BRIDGE__CONNECT_TIMEOUT="0.2", WATCHDOG_USEC="200000"
    )
    process.communicate(timeout=patient(20))
    assert process.returncode == 3
    assert receiver.nothing_more(0.1)


def test_a_manager_that_is_gone_does_not_end_it(receiver: Receiver) -> None:
    process = receiver.start(NOTIFY_SOCKET=f"{receiver.address}-nobody")
    assert process.stderr is not None
    log = ""
    while "is ready" not in log or "READY=1" not in log:
        log += (line := process.stderr.readline())
        assert line, log
    assert "the service manager cannot be told READY=1: No such file" in log
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=patient(20))
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"NOTIFY_SOCKET": "vsock:2:1"}, "NOTIFY_SOCKET is 'vsock:2:1'; a path, or @"),
        ({"WATCHDOG_USEC": "soon"}, "WATCHDOG_USEC is 'soon'; microseconds"),
        ({"WATCHDOG_USEC": "0"}, "WATCHDOG_USEC is '0'; microseconds"),
    ],
)
def test_variables_that_mean_nothing(tmp_path: Path, variables: dict[str, str], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Manager({"NOTIFY_SOCKET": str(tmp_path), **variables})


@pytest.mark.anyio
async def test_a_bridge_that_is_broken_gets_no_sign_of_life(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    receiver = Receiver(tmp_path)
    receiver.socket.setblocking(False)
    broken: list[str | None] = [None]
    manager = Manager({"NOTIFY_SOCKET": receiver.address, "WATCHDOG_USEC": "20000"})

    async def until(text: str) -> list[str]:
        seen = []
        while not seen or text not in seen[-1]:
            await anyio.wait_readable(receiver.socket)
            seen.append(receiver.socket.recv(65_536).decode())
        return seen

    try:
        with anyio.fail_after(patient(20)):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(manager.watch, lambda: ("well", broken[0]))
                await until("READY=1")
                broken[0] = "the disk hangs"
                assert (await until("broken"))[-1] == "STATUS=broken: the disk hangs"
                with anyio.move_on_after(0.3):
                    raise AssertionError(await until("WATCHDOG=1"))
                broken[0] = None
                assert (await until("WATCHDOG=1"))[-1] == "WATCHDOG=1\nSTATUS=well"
                tasks.cancel_scope.cancel()
    finally:
        receiver.socket.close()
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def fill(address: str) -> None:
    """Sends until nothing more is taken."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        try:
            while True:
                other.sendto(b"noise", address)
        except BlockingIOError:
            return


@pytest.mark.anyio
async def test_a_full_queue_is_waited_for(tmp_path: Path) -> None:
    receiver = Receiver(tmp_path)
    manager = Manager({"NOTIFY_SOCKET": receiver.address})
    receiver.socket.setblocking(False)
    fill(receiver.address)
    try:
        with anyio.fail_after(patient(20)):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(manager.tell, "READY=1")
                await anyio.wait_all_tasks_blocked()
                message = b""
                while message != b"READY=1":
                    await anyio.wait_readable(receiver.socket)
                    message = receiver.socket.recv(100)
    finally:
        receiver.socket.close()
