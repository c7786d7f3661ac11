"""Log lines for the journal: with a priority, without a time; only where standard error is the journal."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from purista_fast.cli.journal import mark
from tests.patience import patient

APP = """
import logging, os, signal
from purista_fast import App, Context, Service

works = Service("Works")

@works.every(0.05)
async def tell(ctx: Context) -> None:
    ctx.logger.warning("two\\nlines")
    os.kill(os.getpid(), signal.SIGTERM)

app = App(works)
"""


def run(folder: Path, *words: str, named: str | None) -> str:
    """What ``purista-fast run`` writes to a socket that is its standard error, as the journal's."""
    (folder / "works.py").write_text(APP)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, theirs:
        found = os.fstat(theirs.fileno())
        environ = {key: value for key, value in os.environ.items() if not key.startswith("PURISTA_")}
        if named is not None:
            environ["JOURNAL_STREAM"] = named.format(device=found.st_dev, inode=found.st_ino)
        command = [sys.executable, "-m", "purista_fast.cli", "run", *words]
        done = subprocess.run(command, cwd=folder, env=environ, stderr=theirs, timeout=patient(30))
        theirs.shutdown(socket.SHUT_RDWR)
        written = b""
        while data := ours.recv(65_536):
            written += data
        assert done.returncode in (0, 2)
        return written.decode()


def test_lines_for_the_journal(tmp_path: Path) -> None:
    ready, warning, stopping = run(tmp_path, "works:app", named="{device}:{inode}").splitlines()
    assert ready.startswith("<6>purista_fast.app: Works is ready as instance ")
    assert warning.startswith("<4>purista_fast.service.Works: Works/1/tell [")
    assert warning.endswith("two\\nlines")
    assert stopping == f"<6>purista_fast.app: {signal.SIGTERM.name}: stopping"


def test_the_error_that_ends_it(tmp_path: Path) -> None:
    (line,) = run(tmp_path, "works:nothing", named="{device}:{inode}").splitlines()
    assert line.startswith("<3>purista-fast: ")


@pytest.mark.parametrize("named", [None, "", "{device}:1", "nonsense"])
def test_all_others_get_the_time(tmp_path: Path, named: str | None) -> None:
    for line in run(tmp_path, "works:app", named=named).splitlines():
        assert line[:4].isdigit(), line
    (line,) = run(tmp_path, "works:nothing", named=named).splitlines()
    assert line.startswith("purista-fast: ")


def test_priorities() -> None:
    levels = (10, 20, 25, 30, 40, 50, 5)
    assert [mark("x", level) for level in levels] == ["<7>x", "<6>x", "<6>x", "<4>x", "<3>x", "<2>x", "<7>x"]
    assert mark("a\nb", 40) == "<3>a\n<3>b"
