"""The supervisor of workers, with workers that are small scripts: no application, no broker."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from purista_fast.cli import supervisor
from purista_fast.cli.supervisor import Supervisor
from tests.patience import patient

Start = Callable[..., subprocess.Popen[str]]
SCRIPT = supervisor.__file__
HEAD = """
import os, signal, socket, sys, time
number = os.environ["PURISTA_APP__WORKER"]

def tell(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(text.encode(), "\\0" + os.environ["NOTIFY_SOCKET"][1:])

longer = ""

def stop(*_):
    if longer:
        tell(longer)
    os.write(1, f"stopped {number}\\n".encode())
    sys.exit(0)

signal.signal(signal.SIGTERM, stop)
os.write(1, f"started {number}\\n".encode())
"""
READY = 'tell("READY=1")\n'
FOR_EVER = "while True:\n    signal.pause()\n"
QUICK = f"""
import importlib.util, os, sys
spec = importlib.util.spec_from_file_location("supervisor", {SCRIPT!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.PAUSE = module.PATIENCE = 0.01
sys.exit(module.Supervisor(int(sys.argv[2]), sys.argv[3:], sys.argv[1], os.environ).run())
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a supervisor of workers that run this code, after :data:`HEAD`; with the shortest of pauses."""
    started: list[subprocess.Popen[str]] = []

    def run(code: str, count: int = 2, *, level: str = "DEBUG", **variables: str) -> subprocess.Popen[str]:
        (tmp_path / "worker.py").write_text(HEAD + code)
        (tmp_path / "quick.py").write_text(QUICK)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PURISTA_")}
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "quick.py", level, str(count), sys.executable, "-I", "-S", "worker.py"],
            cwd=tmp_path,
            env={**environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)
        process.communicate()


def read_until(stream: object, text: str) -> str:
    """Reads lines until one has the text; the test's own time limit ends a wait in vain."""
    seen = ""
    for line in stream:  # type: ignore[attr-defined]
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"{text!r} did not come: {seen!r}")


def test_the_others_follow_once_the_first_is_ready(start: Start) -> None:
    process = start(READY + FOR_EVER, 3)
    log = read_until(process.stderr, "all workers are ready: 3")
    assert "worker 1 is started as process" in log.splitlines()[0]
    process.send_signal(signal.SIGTERM)
    printed, logged = process.communicate(timeout=patient(20))
    assert process.returncode == 0, logged
    assert sorted(printed.splitlines()) == [f"{what} {n}" for what in ("started", "stopped") for n in (1, 2, 3)]
    for line in (log + logged).splitlines():
        assert line[:4].isdigit()
        assert " purista_fast.workers: " in line
    assert "SIGTERM: stopping" in logged


def test_a_worker_that_dies_is_started_again(start: Start) -> None:
    again = 'if number == "2" and not os.path.exists("once"):\n    open("once", "w")\n'
    process = start(READY + again + "    os.kill(os.getpid(), 9)\n" + FOR_EVER)
    log = read_until(process.stderr, "it is started again in 0.01 s")
    assert "worker 2 was ended by SIGKILL" in log
    if "all workers are ready" not in log.partition("SIGKILL")[2]:
        read_until(process.stderr, "all workers are ready: 2")
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=patient(20))
    assert (process.returncode, printed.count("started 2")) == (0, 2)


@pytest.mark.parametrize("before", ["", READY], ids=["never ready", "ready, not for long"])
def test_one_that_dies_again_and_again_ends_all(start: Start, before: str) -> None:
    process = start(f'if number == "2":\n    {before or "pass"}\n    sys.exit(7)\n' + READY + FOR_EVER)
    printed, logged = process.communicate(timeout=patient(20))
    assert process.returncode == 7
    assert printed.count("started 2") == 5
    assert "stopped 1" in printed
    assert [float(line.split()[-2]) for line in logged.splitlines() if "again in" in line] == [0.01, 0.02, 0.04, 0.08]
    assert (
        "giving up: worker 2 ended 5 times in a row before it was ready for 10 s; the last time it ended with code 7"
        in logged
    )


def test_wrong_usage_is_told_once(start: Start) -> None:
    process = start("sys.exit(2)\n", 3)
    printed, logged = process.communicate(timeout=patient(20))
    assert (process.returncode, printed) == (2, "started 1\n")
    assert "giving up: worker 1 ended with code 2: its arguments or its configuration are wrong" in logged


def test_what_cannot_be_started_ends_it(tmp_path: Path) -> None:
    (tmp_path / "quick.py").write_text(QUICK)
    command = [sys.executable, "-I", "-S", "quick.py", "INFO", "2", str(tmp_path / "missing")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=patient(20))
    assert done.returncode == 1
    assert "worker 1 cannot be started: No such file or directory" in done.stderr
    assert "giving up" in done.stderr


def test_a_second_signal_kills(start: Start) -> None:
    deaf = "signal.signal(signal.SIGTERM, lambda *_: print('deaf', flush=True))\n"
    process = start(deaf + READY + FOR_EVER, 1)
    read_until(process.stderr, "all workers are ready")
    process.send_signal(signal.SIGTERM)
    read_until(process.stdout, "deaf")
    process.send_signal(signal.SIGTERM)
    _, logged = process.communicate(timeout=patient(20))
    assert process.returncode == 1
    assert "SIGTERM once more: the workers are killed" in logged
    assert "worker 1 was ended by SIGKILL instead of stopping" in logged


def test_systemd_is_told_once_all_are_ready(start: Start, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        longer = 'if number == "1":\n    longer = "EXTEND_TIMEOUT_USEC=7"\n'
        process = start(longer + READY + FOR_EVER, 2, NOTIFY_SOCKET=str(tmp_path / "notify"))
        assert systemd.recv(1000) == b"STATUS=1 of 2 workers are ready"
        assert systemd.recv(1000) == b"STATUS=2 of 2 workers are ready"
        assert systemd.recv(1000) == b"READY=1"
        number = int(read_until(process.stderr, "worker 2 is started as process").split()[-1])
        os.kill(number, signal.SIGKILL)
        assert systemd.recv(1000) == b"STATUS=1 of 2 workers are ready"
        assert systemd.recv(1000) == b"STATUS=2 of 2 workers are ready"
        process.send_signal(signal.SIGTERM)
        assert systemd.recv(1000) == b"STOPPING=1"
        assert systemd.recv(1000) == b"EXTEND_TIMEOUT_USEC=7"
        process.communicate(timeout=patient(20))
    assert process.returncode == 0


def test_a_worker_that_hangs_is_killed_and_systemd_hears_of_the_rest(start: Start, tmp_path: Path) -> None:
    hang = 'if number == "1" and not os.path.exists("once"):\n    open("once", "w")\n    tell("WATCHDOG=1")\n'
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        process = start(hang + READY + FOR_EVER, 1, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="300000")
        log = read_until(process.stderr, "it is started again")
        assert "worker 1 has not been alive for 0.3 s: it is killed" in log
        assert "worker 1 was ended by SIGABRT" in log
        assert b"WATCHDOG=1" in [systemd.recv(1000) for _ in range(4)]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=patient(20))


def test_a_systemd_that_does_not_read_keeps_nobody_waiting(start: Start, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        process = start(READY + FOR_EVER, 1, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="20000")
        read_until(process.stderr, "takes nothing")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=patient(20))
    assert process.returncode == 0


def test_one_that_does_not_end_when_it_hangs_is_killed(start: Start) -> None:
    stopped = (
        'if not os.path.exists("once"):\n    open("once", "w")\n    tell("WATCHDOG=1")\n    os.kill(os.getpid(), 19)\n'
    )
    process = start(READY + stopped + FOR_EVER, 1, WATCHDOG_USEC="300000")
    log = read_until(process.stderr, "it is started again")
    assert log.count("worker 1 has not been alive for 0.3 s: it is killed") == 2
    assert "worker 1 was ended by SIGKILL" in log


def test_a_watchdog_of_another_process_is_none_of_its_own() -> None:
    watchdog = {"WATCHDOG_USEC": "1000000"}
    assert Supervisor(1, [], "INFO", watchdog)._watchdog == 1.0
    assert Supervisor(1, [], "INFO", {**watchdog, "WATCHDOG_PID": str(os.getpid())})._watchdog == 1.0
    assert Supervisor(1, [], "INFO", {**watchdog, "WATCHDOG_PID": "1"})._watchdog is None


def test_nobody_else_reports_for_a_worker(start: Start) -> None:
    process = start('print(os.environ["NOTIFY_SOCKET"], flush=True)\n' + FOR_EVER, 1)
    assert process.stdout is not None
    process.stdout.readline()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
        out.sendto(b"READY=1", "\0" + process.stdout.readline().strip()[1:])
    process.send_signal(signal.SIGTERM)
    _, logged = process.communicate(timeout=patient(20))
    assert process.returncode == 0
    assert "ready" not in logged


def test_the_level_of_the_log(start: Start) -> None:
    process = start(READY + FOR_EVER, 1, level="WARNING")
    read_until(process.stdout, "started 1")
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=patient(20))[1] == ""


def test_the_journal_has_the_time_itself(tmp_path: Path) -> None:
    """It names what it reads by device and inode; a file stands in for it."""
    (tmp_path / "quick.py").write_text(QUICK)
    with (tmp_path / "log").open("w+") as log:
        found = os.fstat(log.fileno())
        environment = {**os.environ, "JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        command = [sys.executable, "-I", "-S", "quick.py", "INFO", "1", str(tmp_path / "missing")]
        subprocess.run(command, cwd=tmp_path, env=environment, stderr=log, timeout=patient(20))
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[0].startswith("<4>purista_fast.workers: worker 1 cannot be started")
    assert lines[-1].startswith("<3>purista_fast.workers: giving up")


def test_it_goes_on_when_nobody_reads_its_log(start: Start) -> None:
    process = start(READY + FOR_EVER, 1)
    read_until(process.stderr, "all workers are ready")
    assert process.stderr is not None
    process.stderr.close()
    process.stderr = None
    process.send_signal(signal.SIGTERM)
    printed, _ = process.communicate(timeout=patient(20))
    assert (process.returncode, "stopped 1" in printed) == (0, True)
