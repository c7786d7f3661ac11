"""What the fault cases share."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.lab.bench import Bench
from tests.faults.lab.network import kind_of_network
from tests.faults.rounds import IS_LONG
from tests.faults.table import Table
from tests.patience import patient

_TABLE = pytest.StashKey[Table]()
_HERE = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    config.stash.setdefault(_TABLE, Table())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(patient(3600 if IS_LONG else 120)))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each case with both transports; in the short suite, where that would take too long, every other one with each."""
    kinds = ["paho", "native"]
    if not IS_LONG:
        kinds = [kinds[zlib.crc32(metafunc.definition.nodeid.encode()) % 2]]
    metafunc.parametrize("transport", kinds, indirect=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash[_TABLE]
    if rows.rows:
        terminalreporter.section("faults")
        for line in rows.lines():
            terminalreporter.write_line(line)
    if target := os.environ.get("FAULTS_TABLE"):
        failed = [report.nodeid for report in terminalreporter.stats.get("failed", [])]
        Path(target).write_text(json.dumps({"rows": rows.dump(), "failed": failed}, indent=1) + "\n")


@pytest.fixture(autouse=True)
def transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """``bridge.transport`` of all that a case starts."""
    kind: str = request.param
    monkeypatch.setenv("PURISTA_BRIDGE__TRANSPORT", kind)
    return kind


@pytest.fixture
def table(request: pytest.FixtureRequest) -> Table:
    return request.config.stash[_TABLE]


@pytest.fixture(scope="session")
def network_kind() -> str:
    """How links are made on this machine."""
    return kind_of_network()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(tmp_path, stack)
