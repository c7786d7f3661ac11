"""`purista-fast bench`: what it measures, prints, and needs. How fast it is, is nobody's business here."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from purista_fast.bench import report, startup, suite
from purista_fast.bench.report import Figure, Report
from purista_fast.cli.commands import main

IDS = ["A1", "A4", "A6", "B1", "B2", "B3", "C1", "E1", "E2", "E3"]


@pytest.fixture
def reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which a look-up takes one microsecond."""
    figures = [Figure("C1", "match among 10 filters of 4 levels", "µs", 1.0, (1.0, 1.0))]
    found = Report(
        {"cpu": "Abacus", "cores": 1, "architecture": "wood", "system": "none"}, {"python": "0"}, figures, []
    )
    return write(tmp_path / "reference.json", found, monkeypatch)


def write(file: Path, found: Report, monkeypatch: pytest.MonkeyPatch) -> Path:
    report.save(found, file)
    monkeypatch.setattr(report, "REFERENCE", file)
    return file


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["bench", "--quick", *arguments])


@pytest.mark.timeout(240)  # it measures for half a minute where nothing else runs
def test_everything_has_a_figure() -> None:
    result = bench("--json")
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    found = json.loads(result.stdout)
    measured = [figure["id"] for figure in found["figures"]]
    assert sorted({*measured, *(missing["id"] for missing in found["missing"])}) == IDS
    assert measured.count("B1") == measured.count("B2") == 5
    assert found["machine"]["cores"] >= 1
    assert found["versions"]["python"]
    for figure in found["figures"]:
        low, high = figure["spread"]
        assert 0 < low <= figure["value"] <= high, figure


def test_figures_stand_beside_those_of_the_reference(reference: Path) -> None:
    found = json.loads(bench("--json", "c1").stdout)["figures"]
    assert found[0]["reference"] == 1.0
    assert found[0]["ratio"] == pytest.approx(found[0]["value"], abs=1e-4)
    assert all("ratio" not in figure for figure in found[1:])


def test_the_table(reference: Path) -> None:
    result = bench("C1")
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["here", "reference"]
    assert lines[1].startswith("C1  match among 10 filters of 4 levels ")
    assert " 1.000 µs " in lines[1]
    assert lines[1].endswith(" ×")
    assert lines[2].endswith(" µs")
    assert lines[-2].startswith("here:      ")
    assert lines[-1] == "reference: Abacus, 1 core, wood, none, python 0"


def test_without_a_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "REFERENCE", tmp_path / "nowhere.json")
    result = bench("C1")
    assert result.exit_code == 0
    assert "reference" not in result.stdout


def test_the_reference_that_comes_with_the_package_fits_what_is_measured() -> None:
    found = report.reference()
    assert found is not None
    known = {(figure.id, figure.what) for figure in found.figures}
    wanted = {(step.ids[0], step.what) for step in suite.steps(suite.FULL) if len(step.ids) == 1}
    assert wanted <= known
    assert {id for id, _ in known} == {*IDS, "C2"}


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = bench("A1")
    assert result.exit_code == 0
    assert "invoke, trio                             trio is not installed" in result.stdout


def test_an_unknown_id() -> None:
    result = bench("A1", "z")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "there is no Z with --quick; there are A1, A4, A6, B1" in result.stderr


def test_a_terminal_sees_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []

    class Bar:
        current_item: suite.Step | None = None
        length = 0

        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *_: object) -> None: ...

        def update(self, steps: int, item: suite.Step) -> None:
            self.current_item = item
            drawn.append(f"{steps} {item.what}")

    def progressbar(*, length: int, **_: object) -> Bar:
        drawn.append(f"of {length}")
        return Bar()

    monkeypatch.setattr(click, "progressbar", progressbar)
    monkeypatch.setattr("purista_fast.cli.bench.is_terminal", lambda: True)
    assert bench("B3").exit_code == 0
    assert drawn == ["of 1", "0 route, 16 KiB", "1 route, 16 KiB"]


def test_settings_of_the_place_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "purista.toml").write_text("[bridge]\nurl = 'mqtt://127.0.0.1:9'\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PURISTA_BRIDGE__URL", "mqtt://127.0.0.1:9")
    result = bench("A1,A4,E1")
    assert result.exit_code == 0, result.output


def test_the_memory_of_a_matcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite.topic_memory, "SIZE", 10_000)
    monkeypatch.setattr(suite, "QUICK", replace(suite.QUICK, matchers=1))
    figures = json.loads(bench("--json", "C2").stdout)["figures"]
    assert [figure["what"] for figure in figures] == [
        f"memory of 10,000 filters of {levels} levels" for levels in (4, 12)
    ]
    assert all(0.1 < figure["value"] < 50 for figure in figures)


def test_an_application_that_does_not_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(startup.idle, "__name__", "nowhere")
    result = bench("E")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "there is no module 'nowhere'" in result.stderr


@pytest.mark.parametrize("modules", [["purista_fast"], ["purista_fast.cli", "purista_fast.cli.run"]])
def test_applications_do_not_import_it(modules: Sequence[str]) -> None:
    code = f"import sys, {', '.join(modules)}; print([name for name in sys.modules if 'purista_fast.bench' in name])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
