"""A pytest plugin: leaves out what ``cannot.toml`` names, and writes down what became of the rest.

It runs in the emulated system, in the folder of the project; ``ARM_ROOT_NAME`` is the system's name.
"""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest

_HERE = Path(__file__).parent


class Observer:
    """What happened in one run of pytest, in ``result.json`` of the project at its end."""

    def __init__(self, root: str) -> None:
        table: list[dict[str, Any]] = tomllib.loads((_HERE / "cannot.toml").read_text("utf-8"))["test"]
        self._names = [row["name"] for row in table if root in row.get("roots", [root])]
        self.counts = {"passed": 0, "failed": 0, "skipped": 0, "left_out": 0}
        self.left_out: dict[str, int] = {}
        self.failures: list[str] = []
        self.skips: list[str] = []

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leaves out."""
        kept: list[pytest.Item] = []
        gone: list[pytest.Item] = []
        for item in items:
            name = next((name for name in self._names if _is(item.nodeid, name)), None)
            (kept if name is None else gone).append(item)
            if name is not None:
                self.left_out[name] = self.left_out.get(name, 0) + 1
        items[:] = kept
        config.hook.pytest_deselected(items=gone)
        self.counts["left_out"] = len(gone)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Counts what cannot even be read."""
        if report.failed:
            self._failed(f"{report.nodeid} (collection)")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Counts."""
        if report.failed:
            self._failed(report.nodeid if report.when == "call" else f"{report.nodeid} ({report.when})")
        elif report.skipped:
            self.counts["skipped"] += 1
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self.skips.append(f"{report.nodeid}: {reason}")
        elif report.when == "call":
            self.counts["passed"] += 1

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Writes."""
        kinds = ("counts", "left_out", "failures", "skips")
        result = {"exit": int(exitstatus), **{kind: getattr(self, kind) for kind in kinds}}
        Path("result.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")

    def _failed(self, what: str) -> None:
        self.counts["failed"] += 1
        self.failures.append(what)


def pytest_configure(config: pytest.Config) -> None:
    """Called by pytest."""
    config.pluginmanager.register(Observer(os.environ["ARM_ROOT_NAME"]), "arm-observer")


def _is(nodeid: str, name: str) -> bool:
    """Whether a name is that of the test, of its function without parameters, of its class or of its file."""
    return nodeid == name or (nodeid.startswith(name) and nodeid[len(name)] in ":[/")
