"""The laboratory itself: a fault that does not happen proves nothing."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.lab.disk import SmallDisk
from tests.faults.lab.network import Network, network
from tests.faults.lab.power import Names, Power
from tests.faults.lab.processes import ROOT
from tests.faults.lab.shims import BreakingDisk, FakeClock

ECHO = """
import socket, sys
listener = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
while True:
    peer, _ = listener.accept()
    while data := peer.recv(4096):
        peer.sendall(data)
    print("end", flush=True)
"""
CALL = """
import socket, sys, time
peer = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20)
for line in sys.stdin:
    began = time.monotonic()
    peer.sendall(b"x" * 1000)
    peer.settimeout(float(line))
    try:
        left = 1000
        while left:
            got = peer.recv(left)
            if not got:
                print("end", flush=True)
                sys.exit()
            left -= len(got)
        print(time.monotonic() - began, flush=True)
    except TimeoutError:
        print("silence", flush=True)
"""
ROWS = """
import sqlite3, sys
rows = sqlite3.connect(sys.argv[1], isolation_level=None)
rows.execute("pragma journal_mode=WAL")
rows.execute("pragma synchronous=" + sys.argv[2])
rows.execute("create table if not exists t(n integer primary key, d blob)")
for n in range(1, 1_000_000):
    rows.execute("insert into t values(?, ?)", (n, bytes(300)))
    print(n, flush=True)
"""
READ = """
import sqlite3, sys
rows = sqlite3.connect(sys.argv[1])
print(rows.execute("select count(*) from t").fetchone()[0])
"""


class Talk:
    """A TCP connection from the edge to the core."""

    def __init__(self, net: Network) -> None:
        port = 7007
        net.attach(port)
        self._echo = self._start(net.core, ECHO, net.core_host, str(port))
        assert self._line(self._echo) == "ready"
        host, _, where = net.edge_url().removeprefix("mqtt://").partition(":")
        self._call = self._start(net.edge, CALL, host, where)

    def trip(self, patience: float) -> str:
        """Seconds that it took, ``silence`` or ``end``."""
        assert self._call.stdin is not None
        self._call.stdin.write(f"{patience}\n")
        self._call.stdin.flush()
        return self._line(self._call)

    def close(self) -> None:
        for process in (self._call, self._echo):
            process.kill()
            process.communicate()

    @staticmethod
    def _start(prefix: list[str], code: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*prefix, sys.executable, "-c", code, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @staticmethod
    def _line(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline().strip()


def test_the_link_delays_loses_and_falls_silent(network_kind: str) -> None:
    with network(network_kind) as net:
        talk = Talk(net)
        try:
            assert float(talk.trip(10)) < 0.1
            net.shape(delay=0.1)
            assert 0.2 <= float(talk.trip(10)) < 1
            net.shape(loss=0.2)
            trips = [float(talk.trip(30)) for _ in range(8)]
            assert max(trips) > 0.15, "TCP had to send something again"
            net.shape()
            net.blackhole(True)
            assert talk.trip(0.5) == "silence"
            net.blackhole(False)
        finally:
            talk.close()


def test_a_pulled_cable_is_silence(network_kind: str) -> None:
    with network(network_kind) as net:
        talk = Talk(net)
        try:
            assert float(talk.trip(10)) < 0.1
            net.down()
            assert talk.trip(0.5) == "silence"
            net.up()
        finally:
            talk.close()


def test_the_proxy_does_the_same() -> None:
    with network("proxy") as net:
        talk = Talk(net)
        try:
            net.shape(delay=0.1)
            assert 0.2 <= float(talk.trip(10)) < 1
            net.down()
            assert talk.trip(0.5) == "silence"
            net.up()
            assert talk.trip(5) == "end", "TCP has given up on it"
        finally:
            talk.close()


def rows_after_a_power_cut(folder: Path, synchronous: str, names: Names, seed: int | None) -> tuple[int, int, str]:
    """How many rows were committed, how many are left, and what SQLite says."""
    (root := folder / "disk").mkdir()
    power = Power(root, folder / "shadow")
    command = [sys.executable, "-c", ROWS, str(root / "rows.db"), synchronous]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **power.environment}) as process:
        assert process.stdout is not None
        for _ in range(300):
            process.stdout.readline()
        process.kill()
        committed = 300 + len(process.stdout.read().splitlines())
    power.cut(names=names, seed=seed)
    read = subprocess.run(
        [sys.executable, "-c", READ, str(root / "rows.db")], capture_output=True, text=True, check=False
    )
    return committed, int(read.stdout or 0), read.stderr


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize("names", ["strict", "journal", "current"])
def test_what_was_synced_survives_a_power_cut(tmp_path: Path, names: Names, seed: int | None) -> None:
    committed, left, said = rows_after_a_power_cut(tmp_path, "FULL", names, seed)
    assert left >= committed >= 300, said


@pytest.mark.parametrize("names", ["strict", "journal", "current"])
def test_what_was_not_synced_does_not(tmp_path: Path, names: Names) -> None:
    committed, left, _ = rows_after_a_power_cut(tmp_path, "OFF", names, None)
    assert left < committed


def test_the_clock_jumps_and_the_monotonic_one_does_not(tmp_path: Path) -> None:
    clock = FakeClock(tmp_path)
    code = "import time; import purista_fast; print(time.time(), time.monotonic(), time.gmtime().tm_year)"

    def look() -> tuple[float, float, int]:
        environment = {**os.environ, **clock.environment, "PYTHONPATH": str(ROOT / "python")}
        said = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
        wall, monotonic, year = said.stdout.split()
        return float(wall), float(monotonic), int(year)

    before = time.monotonic()
    clock.jump(-time.time())
    assert look()[2] == 1970
    clock.jump(10 * 365.25 * 86400)
    assert look()[0] > time.time() + 9 * 365 * 86400
    clock.jump(0)
    wall, monotonic, _ = look()
    assert abs(wall - time.time()) < 5
    assert before < monotonic < time.monotonic()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO, errno.ENOSPC])
def test_a_disk_breaks_under_open_files(tmp_path: Path, number: int) -> None:
    (root := tmp_path / "disk").mkdir()
    disk = BreakingDisk(tmp_path, root)
    code = f"""
import os, sys
kept = os.open({str(root / "kept")!r}, os.O_WRONLY | os.O_CREAT)
for _ in sys.stdin:
    codes = []
    for act in (lambda: os.write(kept, b"x"), lambda: os.fsync(kept), lambda: open({str(root / "new")!r}, "w").close(),
                lambda: open({str(tmp_path / "elsewhere")!r}, "w").close()):
        try:
            act()
            codes.append(0)
        except OSError as error:
            codes.append(error.errno)
    print(codes, flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **disk.environment},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def act() -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        assert act() == "[0, 0, 0, 0]"
        disk.fail(number)
        assert act() == f"[{number}, {number}, {number}, 0]"
        disk.fail(0)
        assert act() == "[0, 0, 0, 0]"
        process.stdin.close()


def test_a_small_disk_is_full_and_goes_away(tmp_path: Path) -> None:
    disk = SmallDisk(tmp_path / "disk")
    try:
        disk.fill()
        code = "import sys; open(sys.argv[1], 'wb', buffering=0).write(bytes(10_000))"
        command = [sys.executable, "-c", code, str(disk.folder / "more")]
        environment = {**os.environ, **disk.environment}
        full = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert "No space left" in full.stderr
        disk.free()
        subprocess.run(command, env=environment, check=True)
    finally:
        disk.close()
    assert not disk.is_real or not list((tmp_path / "disk").iterdir())
