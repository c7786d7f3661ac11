"""``purista-fast outbox`` on real files."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from purista_fast.bridges.mqtt.state import State
from purista_fast.cli.commands import main
from purista_fast.cli.wording import json_line
from purista_fast.storage import outbox
from purista_fast.storage.clock import Moment, PoweredClock
from purista_fast.storage.spool import Entry
from tests.patience import patient
from tests.unit import stores
from tests.unit.disks import Disk
from tests.unit.stores import contents, crash, fill, letter, make, message, opened, row

Run = Callable[..., Result]
APPLICATION = "from purista_fast import App, Service\napp = App(Service('Thermo'))\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs ``purista-fast outbox`` in a folder with an application."""
    (tmp_path / "thermo.py").write_text(APPLICATION)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield lambda *arguments, stdin=None: CliRunner().invoke(main, ["outbox", *arguments], input=stdin)
    sys.modules.pop("thermo", None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where an instance has its file."""
    return tmp_path / "state" / "Thermo" / "node" / "messages.db"


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(text) for text in result.stdout.splitlines()]


def status(run: Run, *arguments: str) -> dict[str, Any]:
    result = run("status", "--json", *(arguments or ("thermo:app",)))
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


# --- finding the file


@pytest.mark.parametrize("command", ["list", "export", "check", "purge"])
def test_without_a_file_each_says_so_and_makes_none(run: Run, tmp_path: Path, command: str) -> None:
    result = run(command, "thermo:app", *(["--all"] if command == "purge" else []))
    assert result.exit_code == 2
    assert "nothing is kept on disk: there is no " in result.stderr
    assert not (tmp_path / "state").exists()


def test_status_without_a_file_is_no_failure(run: Run, tmp_path: Path) -> None:
    result = run("status", "thermo:app")
    assert result.exit_code == 0
    assert result.stdout.startswith("nothing is kept on disk: there is no ")
    assert status(run)["file"] is None
    assert not (tmp_path / "state").exists()


def test_the_only_instance_is_found_and_several_are_named(run: Run, file: Path) -> None:
    make(file, row(1))
    assert status(run)["outbox"]["messages"] == 1
    make(file.parent.parent / "other" / "messages.db")
    result = run("status", "thermo:app")
    assert result.exit_code == 2
    assert "choose one with --instance: node, other" in result.stderr
    assert status(run, "thermo:app", "--instance", "other")["outbox"]["messages"] == 0
    # The folder itself needs no code.
    assert status(run, "--state", str(file.parent))["outbox"]["messages"] == 1
    result = run("status", "--state", str(file.parent.parent))
    assert result.exit_code == 2
    assert f"name the folder of one instance: {file.parent}" in result.stderr


def test_the_kept_id_and_the_configured_one_are_found(run: Run, tmp_path: Path) -> None:
    kept = State.open(tmp_path / "state", "Thermo", None).folder
    make(kept / "messages.db", row(1), row(2))
    assert status(run)["file"] == str(kept / "messages.db")
    (tmp_path / "purista.toml").write_text('[bridge]\ninstance_id = "seven"\n')
    assert "no " in run("status", "thermo:app").stdout
    make(tmp_path / "state" / "Thermo" / "seven" / "messages.db")
    assert status(run)["outbox"]["messages"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name either the application"),
        (("thermo:app", "--state", "."), "name either the application"),
        (("thermo:app", "more:app"), "'more:app' is not expected"),
        (("--state", "nowhere"), "nowhere is no folder"),
        (("--state", ".", "--instance", "x"), "leave out --instance"),
        (("thermo:app", "--instance", "../up"), "cannot be a level of a topic"),
    ],
)
def test_wrong_usage_is_told(run: Run, arguments: tuple[str, ...], said: str) -> None:
    result = run("status", *arguments)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


# --- status and list


def test_status_tells_all(run: Run, file: Path) -> None:
    clock = PoweredClock("never")
    clock.resume(5000.0, 0.0, "another boot")
    then = Moment(clock.now().powered - 3600, None)
    entries = [
        Entry("Thermo/1/watch", b"{}"),
        Entry("Thermo/1/watch", b"{}", attempts=1, due=5.0),
        Entry("Thermo/1/other", b"{}", attempts=1, running=True),
    ]
    make(file, row(1, since=then), row(2, since=then, hold=True), row(3, "alarm", since=then), *entries, letter(1))
    with opened(file) as db:
        outbox.count_drops(db, "too old", 3)
        for key, value in zip(("powered", "since_boot", "boot_id"), clock.state(), strict=True):
            stores.schema.put(db, key, value)
    (file.parent / "messages.damaged-20260101T000000.db").write_bytes(b"x" * 2048)
    found = status(run)
    sent = found["outbox"]
    assert (sent["messages"], sent["hold"], sent["dropped"]) == (3, 1, {"too old": 3})
    assert sent["bytes"] == sum(item["bytes"] for item in sent["events"].values())
    assert sent["events"]["reading"]["messages"] == 2
    assert 3600 <= sent["oldestAge"] < 3700
    assert sent["limits"] == {"messages": 100_000, "bytes": 64 * 1024 * 1024, "age": 30 * 86400}
    assert {key: found["retries"][key] for key in ("messages", "waiting", "retry", "running")} == {
        "messages": 3,
        "waiting": 1,
        "retry": 1,
        "running": 1,
    }
    assert found["retries"]["subscriptions"] == {"Thermo/1/watch": 2, "Thermo/1/other": 1}
    assert found["deadLetters"]["messages"] == 1
    assert found["disk"]["free"] > 0
    assert not found["running"]
    text = run("status", "thermo:app").stdout
    for part in ("3 of 100000 events", "1 h 0 min", "reading: 2", "3 too old", "set aside     ", "2.0 KiB", " free"):
        assert part in text


def test_status_knows_whether_an_application_runs(run: Run, file: Path, tmp_path: Path) -> None:
    make(file)
    state = State(tmp_path / "state" / "Thermo", "node")
    state.lock()
    assert status(run)["running"]
    state.release()
    assert not status(run)["running"]


def test_list_shows_the_oldest_first_and_says_what_is_missing(run: Run, file: Path) -> None:
    make(file, row(1, "a\x1b[2Jb"), row(2, hold=True), row(3))
    result = run("list", "thermo:app", "--limit", "2")
    assert result.exit_code == 0
    head, first, second = result.stdout.splitlines()
    assert head.split() == ["number", "event", "size", "age", "state"]
    assert first.split()[:2] == ["1", "a\\x1b[2Jb"]
    assert first.endswith("waiting")
    assert second.endswith("hold")
    assert result.stderr == "1 more; --limit shows them\n"
    assert len(run("list", "thermo:app", "--event", "reading").stdout.splitlines()) == 3
    make(file.parent.parent / "empty" / "messages.db")
    assert run("list", "thermo:app", "--instance", "empty").stderr == "the outbox is empty\n"


# --- export


def test_export_gives_back_each_message_as_it_was_sent(run: Run, file: Path) -> None:
    since = Moment(1.0, 1_700_000_000_000)
    many = [row(number, since=since) for number in range(600)]
    make(file, *many, Entry("Thermo/1/watch", message(7), attempts=2, error="no"), letter(8))
    found = lines(run("export", "thermo:app"))
    assert [item["number"] for item in found] == list(range(1, 601))
    assert [item["message"] for item in found] == [json.loads(one.message) for one in many]
    assert found[0]["since"] == "2023-11-14T22:13:20.000+00:00"
    assert found[0]["event"] == "reading"
    (spooled,) = lines(run("export", "thermo:app", "--spool"))
    assert (spooled["store"], spooled["subscription"], spooled["attempts"]) == ("spool", "Thermo/1/watch", 2)
    both = lines(run("export", "thermo:app", "--spool", "--dead-letters"))
    assert [item["store"] for item in both] == ["spool", "dead_letters"]
    assert both[1]["message"]["payload"]["number"] == 8


def test_what_comes_from_the_network_cannot_break_a_terminal_or_the_json(run: Run, file: Path) -> None:
    text = "\x9b2J\u202e\U000e0001 line\u2028end \x7f \x1b[2J ü"
    raw = json.dumps({"payload": text}, ensure_ascii=False).encode()
    strange = [raw, b'{"a":\n 12345678901234567890.10, "b" : [ ] }', b"\x00\xff no json", b'{"a": "\xff"}', b"[1]"]
    make(file, *(outbox.Row("e\x1b", one, Moment(0, None)) for one in strange))
    result = run("export", "thermo:app")
    assert all(line.isprintable() for line in result.stdout.splitlines())
    found = lines(result)
    assert len(found) == len(strange)
    assert found[0]["message"]["payload"] == text
    assert "12345678901234567890.10" in result.stdout
    assert [item["message"] for item in found[2:]] == [None, None, None]
    assert json.loads(json_line({"\U000e0001": "\U0010ffff"})) == {"\U000e0001": "\U0010ffff"}


def test_a_row_that_has_changed_is_marked(run: Run, file: Path) -> None:
    make(file, row(1), row(2))
    with opened(file) as db:
        db.execute("UPDATE outbox SET crc = crc + 1 WHERE seq = 1")
    first, second = lines(run("export", "thermo:app"))
    assert first["message"] is None
    assert first["damaged"]
    assert second["message"]["payload"]["number"] == 2


def test_export_of_a_damaged_file_leaves_it_alone(run: Run, file: Path, tmp_path: Path) -> None:
    make(file, *(row(number) for number in range(300)), letter(1))
    data = bytearray(file.read_bytes())
    data[: 4096 + 100] = bytes(4196)
    file.write_bytes(data)
    before = contents(file.parent)
    result = run("export", "thermo:app")
    assert result.exit_code == 1
    assert "is damaged (" in result.stderr
    assert f"export --file {file}" in result.stderr
    result = run("export", "--file", str(file))
    assert result.exit_code == 0, result.output
    assert "what can be read of it follows" in result.stderr
    assert len(result.stdout.splitlines()) > 200
    assert len(run("export", "--file", str(file), "--dead-letters").stdout.splitlines()) == 1
    assert contents(file.parent) == before
    (tmp_path / "noise").write_bytes(os.urandom(20_000))
    result = run("export", "--file", str(tmp_path / "noise"))
    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing of it can be read" in result.stderr
    assert run("export", "--file", str(tmp_path / "none")).exit_code == 1
    assert run("export").exit_code == 2


# --- it changes nothing


@pytest.mark.parametrize("command", ["status", "list", "export", "check"])
@pytest.mark.parametrize("state", ["closed", "crashed", "crashed, no index", "in use"])
def test_reading_changes_nothing_and_sees_everything(run: Run, file: Path, command: str, state: str) -> None:
    make(file, row(1))
    os.chmod(file.parent, 0o700)
    with ExitStack() as stack:
        if state == "in use":
            fill(stack.enter_context(opened(file)), row(2))
        elif state != "closed":
            crash(file, lambda db: fill(db, row(2)))
            if state == "crashed, no index":
                (file.parent / "messages.db-shm").unlink()
        names = sorted(path.name for path in file.parent.iterdir())
        before = contents(file.parent)
        result = run(command, "thermo:app")
        assert result.exit_code == 0, result.output
        assert contents(file.parent) == before
        assert sorted(path.name for path in file.parent.iterdir()) == names
        count = {"status": "1 of 100000" if state == "closed" else "2 of 100000"}
        if command == "export":
            assert len(result.stdout.splitlines()) == (1 if state == "closed" else 2)
        elif command == "status":
            assert count["status"] in result.stdout


@pytest.mark.parametrize("crashed", [False, True])
def test_a_read_only_disk_is_read(run: Run, disk: Disk, crashed: bool) -> None:
    folder = disk.folder / "node"
    make(folder / "messages.db", row(1))
    if crashed:
        crash(folder / "messages.db", lambda db: fill(db, row(2)))
        (folder / "messages.db-shm").unlink()
    with disk.read_only():
        assert len(lines(run("export", "--state", str(folder)))) == 1 + crashed
        assert status(run, "--state", str(folder))["outbox"]["messages"] == 1 + crashed
        assert run("list", "--state", str(folder)).exit_code == 0
        result = run("check", "--state", str(folder))
        assert result.exit_code == 1
        assert "the disk is read-only" in result.stdout
        result = run("purge", "--state", str(folder), "--all", "--yes")
        assert result.exit_code == 1
        assert "cannot be written: Read-only file system" in result.stderr


# --- check


def test_check_finds_what_is_wrong_and_says_what_to_do(run: Run, file: Path) -> None:
    make(file, row(1), row(2), letter(3))
    result = run("check", "thermo:app")
    assert result.exit_code == 0, result.output
    assert "3 messages are whole, nothing is wrong" in result.stdout
    with opened(file) as db:
        db.execute("UPDATE outbox SET crc = crc + 1 WHERE seq = 2")
    file.chmod(0o644)
    (file.parent / "messages.damaged-1.db").write_bytes(b"x")
    result = run("check", "thermo:app")
    assert result.exit_code == 1
    assert "the bytes of 1 messages are not those that were written (numbers 2)" in result.stdout
    assert f"mode 644): chmod 600 {file}" in result.stdout
    assert "messages.damaged-1.db was damaged and set aside" in result.stdout
    assert result.stderr.startswith("purista-fast: ")


def test_check_finds_damaged_pages(run: Run, file: Path) -> None:
    make(file, *(row(number) for number in range(500)))
    data = bytearray(file.read_bytes())
    data[-6000:] = bytes(6000)
    file.write_bytes(data)
    result = run("check", "thermo:app")
    assert result.exit_code == 1
    assert "the file is damaged: " in result.stdout
    assert "restart the application" in result.stdout


def test_a_damaged_name_of_a_table_is_damage(run: Run, file: Path) -> None:
    make(file, row(1))
    data = file.read_bytes()
    file.write_bytes(data[:4096].replace(b"outbox", b"out\xc3ox") + data[4096:])
    for command in ("status", "check", "list"):
        result = run(command, "thermo:app")
        assert result.exit_code == 1
        assert "is damaged (" in result.stderr
    assert len(lines(run("export", "--file", str(file)))) == 1


def test_check_finds_a_damaged_log(run: Run, file: Path) -> None:
    make(file)
    crash(file, lambda db: [fill(db, row(number)) for number in range(20)])
    log = file.with_name("messages.db-wal")
    data = bytearray(log.read_bytes())
    data[20_000] ^= 1
    log.write_bytes(data)
    result = run("check", "thermo:app")
    assert result.exit_code == 1
    assert "the log (messages.db-wal): frame" in result.stdout
    assert "start the application" in result.stdout


def test_check_finds_a_full_disk(run: Run, disk: Disk) -> None:
    make(disk.folder / "node" / "messages.db")
    result = run("check", "--state", str(disk.folder / "node"))
    assert result.exit_code == 1
    assert "left: events are refused with 507" in result.stdout


def test_a_newer_format_is_left_alone(run: Run, file: Path) -> None:
    make(file, row(1))
    with opened(file) as db:
        db.execute("PRAGMA user_version = 99")
        stores.schema.put(db, "format", 99)
    for arguments in (
        ("status", "thermo:app"),
        ("purge", "thermo:app", "--all", "--yes"),
        ("export", "--file", str(file)),
    ):
        result = run(*arguments)
        assert result.exit_code == 1, result.output
        assert "written by a newer version (format 99" in result.stderr


# --- purge


def test_purge_deletes_what_was_described_and_counts_it(run: Run, file: Path) -> None:
    make(file, row(1), row(2, "alarm"), row(3))
    result = run("purge", "thermo:app", "--event", "alarm", "--yes")
    assert (result.exit_code, result.stdout) == (0, "1 events deleted\n")
    assert status(run)["outbox"]["dropped"] == {"purged": 1}
    assert run("purge", "thermo:app", "--event", "none", "--yes").stdout == "nothing to delete\n"
    assert run("purge", "thermo:app", "--all", "--yes").stdout == "2 events deleted\n"
    assert status(run)["outbox"]["dropped"] == {"purged": 3}
    assert status(run)["outbox"]["messages"] == 0


def test_purge_by_age(run: Run, file: Path) -> None:
    now = PoweredClock("never").now().powered
    make(file, row(1, since=Moment(now - 8 * 86400, None)), row(2, since=Moment(now, None)))
    assert run("purge", "thermo:app", "--older", "7d", "--yes").stdout == "1 events deleted\n"
    assert [item["number"] for item in lines(run("export", "thermo:app"))] == [2]
    result = run("purge", "thermo:app", "--older", "often", "--yes")
    assert result.exit_code == 2
    assert "'often' is no duration such as" in result.stderr


def test_purge_asks(run: Run, file: Path) -> None:
    make(file, row(1))
    assert run("purge", "thermo:app").exit_code == 2
    assert run("purge", "thermo:app", "--all", "--event", "x").exit_code == 2
    result = run("purge", "thermo:app", "--all", stdin="n\n")
    assert result.exit_code == 1
    assert "nothing was deleted" in result.stderr
    result = run("purge", "thermo:app", "--all", stdin="")
    assert result.exit_code == 1
    assert "--yes deletes without asking" in result.stderr
    assert status(run)["outbox"]["messages"] == 1
    assert run("purge", "thermo:app", "--all", stdin="y\n").exit_code == 0
    assert status(run)["outbox"]["messages"] == 0


def test_purge_waits_for_no_writer_for_ever(run: Run, file: Path) -> None:
    make(file, row(1))
    with opened(file) as db:
        db.execute("BEGIN IMMEDIATE")
        begun = time.monotonic()
        result = run("purge", "thermo:app", "--all", "--yes")
        assert result.exit_code == 1
        assert "database is locked; is there room on the disk, and does another process write to it?" in result.stderr
        assert time.monotonic() - begun >= 4
        db.execute("ROLLBACK")
    assert status(run)["outbox"]["messages"] == 1


def test_export_ends_when_nobody_reads(run: Run, file: Path) -> None:
    make(file, *(row(number) for number in range(5000)))
    process = subprocess.Popen(
        [sys.executable, "-m", "purista_fast.cli", "outbox", "export", "--state", str(file.parent)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(patient(30)) == 0
    assert process.stderr.read() == b""
    process.stderr.close()
