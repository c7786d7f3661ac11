"""The benchmarks' own arithmetic, table, files and picture. How fast anything is, is nobody's business here."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from benches import __main__ as program
from benches import chart, page, peers, report
from benches.harness import Case, Goal, Result, Skipped, Wanted, compare, run
from purista_fast.bench import report as device
from purista_fast.bench.report import Report

ROOT = Path(__file__).parents[2]
FASTER = compare(
    "A2", "invoke", [2.0, 2.0, 4.0], {"slow <&>": [8.0, 8.0, 8.0], "slower": [9.0, 9.0, 9.0]}, Goal(3, "faster")
)
MISSED = compare("A1", "invoke", [3.0], {"floor": [1.0]}, Goal(1.6, "at most"))
SHOWN = compare("A3", "for scale", [1.0], {"PURISTA": [50.0]}, None)
RATE = compare("D3", "commands", [30.0, 50.0], {"FastStream": [10.0, 10.0], "other": [1.0, 1.0]}, Goal(2, "rate"))
LIMIT = compare("E2", "import", [14.0], {}, Goal(15, "limit"), unit="ms")


@pytest.mark.parametrize(
    ("result", "ratio", "met", "peer"),
    [
        (FASTER, 4.0, True, "slow <&>"),
        (MISSED, 3.0, False, "floor"),
        (SHOWN, 0.02, None, "PURISTA"),
        (RATE, 4.0, True, "FastStream"),
        (LIMIT, 14 / 15, True, ""),
    ],
)
def test_a_result_is_judged_against_the_best_peer(result: Result, ratio: float, met: bool | None, peer: str) -> None:
    assert result.ratio == pytest.approx(ratio)
    assert (result.met, result.peer_name) == (met, peer)
    assert result.as_dict()["met"] is met


def test_the_spread_is_that_of_the_rounds() -> None:
    assert FASTER.spread == (2.0, 4.0)


def test_rounds_are_interleaved() -> None:
    done: list[str] = []

    def side(name: str, seconds: float) -> Callable[[int], float]:
        def timed(count: int) -> float:
            done.append(name)
            return seconds * count

        return timed

    found = run(Case(id="X", what="x", ours=side("ours", 0.02), peers={"peer": side("peer", 0.05)}, goal=None))
    assert found.ratio == pytest.approx(0.4)
    assert found.spread == pytest.approx((0.4, 0.4))
    rounds = done[2:]
    assert rounds[:4] == ["ours", "peer", "peer", "ours"]
    assert rounds.count("ours") == rounds.count("peer") >= 7


def test_wanted_ids_begin_so() -> None:
    wanted = Wanted(["a", "D2b"])
    assert [id for id in ("A1", "A6", "B1", "D1", "D2", "D2b") if wanted(id)] == ["A1", "A6", "D2b"]
    assert Wanted([""])("F1")


def test_the_picture_is_whole() -> None:
    results = [MISSED, FASTER, SHOWN, RATE, LIMIT]
    picture = chart.draw(results, "an <abacus>")
    root = ElementTree.fromstring(picture)
    space = "{http://www.w3.org/2000/svg}"
    texts = ["".join(text.itertext()) for text in root.iter(f"{space}text")]
    assert "invoke / slow <&>" in texts
    assert "4 ×, goal 3" in texts
    assert not any("import" in text for text in texts), "it has no peer"
    bars = [bar.get("class") for bar in root.iter(f"{space}rect")][1:]
    assert bars == ["missed", "met", "shown", "met"]
    assert len([line for line in root.iter(f"{space}line") if line.get("class") == "goal"]) == 3


def test_the_picture_has_the_worst_of_each_id_and_goal() -> None:
    good, bad = (
        compare("C1", name, [1.0], {"p": [times]}, Goal(10, "faster")) for name, times in (("a", 20), ("b", 9))
    )
    other = compare("C1", "c", [1.0], {"p": [30.0]}, Goal(2, "faster"))
    assert chart.chosen([good, bad, other]) == [bad, other]
    shown_only = compare("A1", "trio", [1.0], {"p": [30.0]}, None)
    assert chart.chosen([shown_only]) == []


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for what a run writes."""
    (tmp_path / "benches").mkdir()
    for module, name, file in (
        (report, "FILE", "benches/results.json"),
        (chart, "FILE", "bench.svg"),
        (device, "REFERENCE", "reference.json"),
        (page, "FILE", "benches/results.json"),
        (page, "PAGE", "performance.md"),
    ):
        monkeypatch.setattr(module, name, tmp_path / file)
    (tmp_path / "performance.md").write_text(
        "# Page\n<!-- written by make bench -->\nold\n<!-- end of what make bench writes -->\nrest\n", "utf-8"
    )
    monkeypatch.setattr(program.suite, "measure", lambda *_: Report({"cpu": "x"}, {}, [], []))
    return tmp_path


def modules(monkeypatch: pytest.MonkeyPatch, *found: Sequence[Result | Skipped] | Exception) -> None:
    def results(one: Sequence[Result | Skipped] | Exception, wanted: Wanted) -> Iterator[Result | Skipped]:
        if isinstance(one, Exception):
            raise one
        yield from (result for result in one if wanted(result.id))

    made = [
        SimpleNamespace(__name__=f"benches.module{number}", results=lambda wanted, one=one: results(one, wanted))
        for number, one in enumerate(found)
    ]
    monkeypatch.setattr(program, "MODULES", made)


def test_a_whole_run_writes_its_files(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    modules(monkeypatch, [FASTER, MISSED], [Skipped("F1", "growth", "valgrind is missing: apt-get install valgrind")])
    assert program.main([]) == 0
    written = json.loads((files / "benches" / "results.json").read_text("utf-8"))
    assert [result["id"] for result in written["results"]] == ["A2", "A1"]
    assert {"id", "ours", "peer", "unit", "ratio", "goal", "met", "spread"} <= set(written["results"][0])
    assert written["skipped"][0]["why"].startswith("valgrind is missing")
    assert written["machine"]["cores"]
    assert {"purista-fast", "python", "msgspec", "paho-mqtt"} <= set(written["versions"])
    assert (files / "bench.svg").read_text("utf-8").startswith("<svg ")
    assert device.reference() == Report({"cpu": "x"}, {}, [], [])
    text = (files / "performance.md").read_text("utf-8")
    assert "old" not in text
    assert text.startswith("# Page\n<!-- written")
    assert text.endswith("what make bench writes -->\nrest\n")
    assert "| F1 | growth | | | not measured: valgrind is missing" in text
    printed = capsys.readouterr().out
    assert "F1  growth" in printed
    assert "1 of 2 goals met\nmissed: A1\nnot measured: F1\n" in printed


def test_a_benchmark_that_fails_is_said_and_the_others_go_on(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    modules(monkeypatch, RuntimeError("boom"), [FASTER])
    assert program.main([]) == 1
    captured = capsys.readouterr()
    assert "RuntimeError: boom" in captured.err
    assert "1 of 1 goals met\nfailed: benches.module0\n" in captured.out
    assert not (files / "benches" / "results.json").exists()


def test_a_part_writes_nothing(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    modules(monkeypatch, [FASTER, MISSED])
    assert program.main(["a1, b"]) == 0
    assert "0 of 1 goals met\nmissed: A1\n" in capsys.readouterr().out
    assert not (files / "benches" / "results.json").exists()


def test_an_unknown_id(files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    modules(monkeypatch, [FASTER])
    assert program.main(["z"]) == 2
    assert capsys.readouterr().err == "there is no benchmark z\n"


def test_peers_that_are_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peers, "PYTHON", tmp_path / "nowhere")
    assert peers.versions("faststream") == {}
    skipped = [one for one in program.scale.results(Wanted(["A3"])) if isinstance(one, Skipped)]
    assert [one.why for one in skipped] == [peers.MISSING] * 2


def test_a_peer_that_fails_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "PYTHON", Path(sys.executable))
    with pytest.raises(RuntimeError, match="nobody ended with code 1"), peers.bus("nobody"):
        pass
