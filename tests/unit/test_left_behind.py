"""Which instances of an earlier start are noticed."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from purista_fast.bridges.mqtt.left_behind import left_behind
from purista_fast.bridges.mqtt.state import State
from purista_fast.config import AppSettings


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder, and an account without rights."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        for name in ("node_2", "node_3"):
            (Path(folder) / name).mkdir()
            (Path(folder) / name / "messages.db").touch()
        (Path(folder) / "node_3").chmod(0)
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(65_534)
        yield Path(folder)
        if is_root:
            os.seteuid(0)
        (Path(folder) / "node_3").chmod(0o700)


def test_the_state_of_another_account_ends_no_start(nobody: Path) -> None:
    assert left_behind(State(nobody, "node"), AppSettings()) == ["node_2", "node_3"]
    assert left_behind(State(nobody, "node_1"), AppSettings(workers=2, worker=1)) == ["node_3"]
