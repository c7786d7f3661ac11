"""``purista-fast dead-letters`` on real files."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from purista_fast.bridges.mqtt.state import State
from purista_fast.cli.commands import main
from purista_fast.storage import dead_letters, outbox, spool
from tests.unit.stores import contents, letter, make, message, opened

Run = Callable[..., Result]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "Thermo" / "node" / "messages.db"


@pytest.fixture
def run(file: Path) -> Run:
    """Runs ``purista-fast dead-letters COMMAND --state …``."""

    def invoke(command: str, *arguments: str, stdin: str | None = None) -> Result:
        words = ["dead-letters", command, "--state", str(file.parent), *arguments]
        return CliRunner().invoke(main, words, input=stdin)

    return invoke


def numbers(file: Path) -> list[int]:
    with opened(file) as db:
        return [found.seq for found in dead_letters.list_all(db)]


def test_list_shows_all_of_them_on_one_line_each(run: Run, file: Path) -> None:
    make(file, letter(1, error="ValueError: a\nb\x1b[2J"), letter(2, "outbox", target="a/topic", name="alarm"))
    before = contents(file.parent)
    result = run("list")
    assert result.exit_code == 0, result.output
    head, first, second = result.stdout.splitlines()
    assert head.split() == ["number", "when", "origin", "target", "event", "attempts", "error"]
    assert first.endswith("5         ValueError: a\\nb\\x1b[2J")
    assert second.split()[2:5] == ["outbox", "a/topic", "alarm"]
    found = [json.loads(text) for text in run("list", "--json").stdout.splitlines()]
    assert [item["number"] for item in found] == [1, 2]
    assert found[0]["error"] == "ValueError: a\nb\x1b[2J"
    assert contents(file.parent) == before


def test_an_empty_list_says_so(run: Run, file: Path) -> None:
    make(file)
    assert run("list").stderr == "there are no dead letters\n"
    assert run("list", "--json").output == ""


def test_show_prints_the_message_for_people(run: Run, file: Path) -> None:
    make(file, letter(1, message=b'{"payload":{"a":[1,"\xc2\x9b2J\xe2\x80\xae"]}}'), letter(2, message=b"no json \x1b"))
    result = run("show", "1")
    assert result.exit_code == 0, result.output
    assert all(line.isprintable() for line in result.stdout.splitlines())
    assert '    "payload": {\n' in result.stdout
    assert json.loads(result.stdout)["message"]["payload"]["a"][1] == "\x9b2J\u202e"
    found = json.loads(run("show", "2").stdout)
    assert (found["number"], found["message"]) == (2, None)
    for arguments, code, said in [
        (["7"], 1, "there is no dead letter 7"),
        (["1" * 30], 1, "there is no dead letter 111"),
        ([], 2, "name one number"),
        (["1", "2"], 2, "name one number"),
    ]:
        result = run("show", *arguments)
        assert result.exit_code == code
        assert said in result.stderr


def test_redrive_puts_each_where_it_came_from(run: Run, file: Path) -> None:
    make(file, letter(1), letter(2, "outbox", target="a/topic", name="alarm"), letter(3))
    result = run("redrive", "1", "2", "1")
    assert result.exit_code == 0, result.output
    assert result.stdout == "2 dead letters sent back to Thermo/1/watch, the outbox\n"
    assert result.stderr == "no application runs here: it takes them up when it starts\n"
    assert numbers(file) == [3]
    with opened(file) as db:
        (entry,), _ = spool.load(db, "Thermo/1/watch", 0, 10, due=True)
        assert (entry.message, entry.attempts, entry.again) == (message(1), 0, True)
        (row,), _, _ = outbox.load(db, 0, 10)
        assert (row.name, row.message) == ("alarm", message(2))


def test_redrive_by_target_and_all(run: Run, file: Path, tmp_path: Path) -> None:
    make(file, letter(1), letter(2, target="Thermo/1/other"), letter(3, "unknown"), letter(4, "damaged"), letter(5))
    assert run("redrive", "--target", "Thermo/1/watch").stdout.startswith("2 dead letters")
    assert numbers(file) == [2, 3, 4]
    state = State(tmp_path / "state" / "Thermo", "node")
    state.lock()
    result = run("redrive", "--all")
    state.release()
    assert result.exit_code == 0
    assert result.stdout == "1 dead letters sent back to Thermo/1/other\n"
    assert result.stderr.splitlines() == [
        "dead letter 3 (unknown) has nowhere to go back to",
        "dead letter 4 (damaged) has nowhere to go back to",
        "the running application takes them up within some seconds",
    ]
    assert run("redrive", "--target", "Nobody/1/none").stdout == "0 dead letters sent back\n"


def test_redrive_is_all_or_nothing_for_numbers(run: Run, file: Path) -> None:
    make(file, letter(1), letter(2, "unknown"))
    result = run("redrive", "1", "2")
    assert result.exit_code == 1
    assert "dead letter 2 (unknown) has nowhere to go back to; nothing was sent back" in result.stderr
    result = run("redrive", "1", "9")
    assert result.exit_code == 1
    assert "there is no dead letter 9" in result.stderr
    assert numbers(file) == [1, 2]
    assert run("redrive").exit_code == 2
    assert run("redrive", "1", "--all").exit_code == 2


def test_a_damaged_row_is_not_sent_back(run: Run, file: Path) -> None:
    make(file, letter(1))
    with opened(file) as db:
        db.execute("UPDATE dead_letters SET crc = crc + 1")
    result = run("redrive", "1")
    assert result.exit_code == 1
    assert "dead letter 1 is damaged" in result.stderr
    assert run("redrive", "--all").stdout == "0 dead letters sent back\n"
    assert json.loads(run("show", "1").stdout)["message"] is None
    assert numbers(file) == [1]


def test_purge(run: Run, file: Path) -> None:
    make(file, letter(1), letter(2), letter(3), letter(4))
    with opened(file) as db:
        db.execute("UPDATE dead_letters SET wall = ? WHERE seq = 2", (int((time.time() - 31 * 86400) * 1000),))
    assert run("purge", "--older", "30d", "--yes").stdout == "1 dead letters deleted\n"
    assert run("purge", "1", stdin="n\n").exit_code == 1
    assert numbers(file) == [1, 3, 4]
    assert run("purge", "1", "3", stdin="y\n").exit_code == 0
    assert numbers(file) == [4]
    assert run("purge", "9", "--yes").exit_code == 1
    assert run("purge", "--all", "--yes").stdout == "1 dead letters deleted\n"
    assert run("purge", "--all", "--yes").stdout == "nothing to delete\n"
    assert run("purge").exit_code == 2


def test_without_a_file(run: Run, file: Path) -> None:
    file.parent.mkdir(parents=True)
    for words in (["list"], ["show", "1"], ["redrive", "--all"], ["purge", "--all", "--yes"]):
        result = run(*words)
        assert result.exit_code == 2
        assert "nothing is kept on disk" in result.stderr
    assert list(file.parent.iterdir()) == []
