"""The judge itself: it must see each kind of broken promise, or its silence would mean nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults import records
from tests.faults.oracle import Oracle, Verdict

Lines = list[list[Any]]


def good() -> dict[str, Lines]:
    """Twenty events of one emitter, confirmed in pairs and handled by two consumers; a fault ended after the tenth."""
    edge: Lines = []
    core: Lines = []
    for number in range(20):
        base = ["e", "tick", number, f"hash{number}"]
        edge.append(["attempted", "e", *base, number + 0.1, 100 + number, ""])
        edge.append(["confirmed", "e", *base, number + 0.2, 100 + number, ""])
        # What came before the end of the fault is handled after it.
        at = max(number, 10) + 0.5 + number / 100
        core.append(["started", "a", *base, at, 100 + number, "id"])
        core.append(["handled", "a", *base, at + 0.001, 100 + number, "id"])
    return {"e": edge, "a": core, "test": [["mark", "test", "", "", 0, "", 10.3, 110, "healed"]]}


def judge(folder: Path, lines: dict[str, Lines], **options: Any) -> Verdict:
    for name, part in lines.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in part))
    windows = options.pop("windows", ())
    excused = options.pop("excused", ())
    return Oracle(folder, **options).judge(windows=windows, excused=excused)


def test_what_is_right_passes(tmp_path: Path) -> None:
    verdict = judge(tmp_path, good()).check()
    assert (verdict.confirmed, verdict.handled, verdict.duplicates) == (20, 20, 0)
    assert verdict.recovery == pytest.approx(0.2 + 0.101 + 0.1, abs=0.2)


def lose(lines: dict[str, Lines]) -> None:
    lines["a"] = [line for line in lines["a"] if line[4] != 7]


def handle_half(lines: dict[str, Lines]) -> None:
    """It was begun and never finished."""
    lines["a"] = [line for line in lines["a"] if line[4] != 7 or line[0] != "handled"]


def forge(lines: dict[str, Lines]) -> None:
    lines["a"].append(["handled", "a", "e", "tick", 99, "hash99", 40.0, 140, "id"])


def forge_emitter(lines: dict[str, Lines]) -> None:
    lines["a"].append(["handled", "a", "mallory", "tick", 3, "hash3", 40.0, 140, "id"])


def alter(lines: dict[str, Lines]) -> None:
    next(line for line in lines["a"] if line[4] == 7 and line[0] == "handled")[5] = "another"


def reorder(lines: dict[str, Lines]) -> None:
    for line in lines["a"]:
        if line[4] == 7:
            line[6] = 30.0


def stop_short(lines: dict[str, Lines]) -> None:
    """Nothing is confirmed any more after the fault."""
    for name in ("e", "a"):
        lines[name] = [line for line in lines[name] if line[4] <= 10 and (line[4] < 10 or name == "a")]
    lines["a"] = [line for line in lines["a"] if line[4] < 10]


@pytest.mark.parametrize(
    ("mutate", "word"),
    [
        (lose, "lost"),
        (handle_half, "lost"),
        (forge, "forged"),
        (forge_emitter, "forged"),
        (alter, "altered"),
        (reorder, "reordered"),
        (stop_short, "no event passed after the last fault"),
    ],
)
def test_what_is_wrong_fails(tmp_path: Path, mutate: Callable[[dict[str, Lines]], None], word: str) -> None:
    lines = good()
    mutate(lines)
    with pytest.raises(AssertionError, match=word):
        judge(tmp_path, lines).check()


def test_a_second_delivery_is_no_disorder_but_counted(tmp_path: Path) -> None:
    lines = good()
    for kind in ("started", "handled"):
        lines["a"].append([kind, "a", "e", "tick", 2, "hash2", 50.0, 150, "id"])
    assert judge(tmp_path, lines).check().duplicates == 1


def test_order_is_not_asked_for_where_it_is_not_promised(tmp_path: Path) -> None:
    lines = good()
    reorder(lines)
    judge(tmp_path, lines, ordered=False).check()


def test_each_group_must_get_all(tmp_path: Path) -> None:
    lines = good()
    lines["b"] = [[*line[:1], "b", *line[2:]] for line in lines["a"] if line[4] != 7]
    judge(tmp_path, lines, groups=[{"a", "b"}]).check()
    with pytest.raises(AssertionError, match="1 lost"):
        judge(tmp_path, lines, groups=[{"a"}, {"b"}]).check()


def test_only_what_lies_in_the_window_may_be_lost(tmp_path: Path) -> None:
    lines = good()
    lose(lines)
    assert judge(tmp_path, lines, windows=[(106.5, 107.5)]).check().in_window == 1
    with pytest.raises(AssertionError, match="lost"):
        judge(tmp_path, lines, windows=[(107.5, 109)]).check()


def test_a_dead_letter_is_excused_by_name(tmp_path: Path) -> None:
    lines = good()
    lose(lines)
    judge(tmp_path, lines, excused={("e", "tick", 7)}).check()


def test_a_journal_is_read_as_it_grows(tmp_path: Path) -> None:
    journal = records.Journal(tmp_path, "e")
    oracle = Oracle(tmp_path)
    assert oracle.last_number == -1
    payload = {"emitter": "e", "number": 0}
    journal.write(records.ATTEMPTED, "e", "tick", 0, records.digest(payload))
    assert oracle.last_number == 0
    with (tmp_path / "e.jsonl").open("a") as file:
        file.write('["confirmed", "e"')
    assert oracle.confirmed == 0, "half a line is not there yet"
    journal.close()
