"""Files that were damaged: what opens, what is saved, what is never returned.

What holds for one damaged place of a file that no process has open: it opens; each row that comes out is byte by byte
what was written; and each row is saved whose own pages (its leaf, and its overflow pages) are whole.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from purista_fast.storage import dead_letters, outbox, schema, seen, spool
from purista_fast.storage.clock import Moment
from purista_fast.storage.damage import Damage, open_or_recover
from purista_fast.storage.dead_letters import DeadLetter
from purista_fast.storage.spool import Entry
from tests.unit.disks import Disk
from tests.unit.stores import crash, fill, letter, make, message, opened, row

Rows = dict[str, dict[int, bytes]]
TABLES = ("outbox", "spool", "dead_letters")
DELETED = range(20, 60)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "node" / "messages.db"


def read(db: sqlite3.Connection) -> Rows:
    """What the application gets to see, by the functions that it uses."""
    found: Rows = {name: {} for name in TABLES}
    after = 0
    while True:
        rows, after, damaged = outbox.load(db, after, 50)
        found["outbox"] |= {one.seq: one.message for one in rows}
        if not rows and not damaged:
            break
    for waiting in spool.waiting(db):
        entry = spool.load_one(db, waiting.seq)
        if entry is not None:
            found["spool"][entry.seq] = entry.message
    letters = dead_letters.list_all(db)
    found["dead_letters"] = {one.seq: one.message for one in letters if one.is_whole}
    return found


def reopen(file: Path) -> tuple[Rows, Damage | None]:
    db, found = open_or_recover(file)
    with closing(db):
        return read(db), found


def asides(file: Path) -> list[Path]:
    return sorted(path for path in file.parent.glob("messages.damaged-*") if not path.name.endswith("-wal"))


def body(table: str, number: int) -> bytes:
    """A message that can be told by any piece of it; every tenth has overflow pages."""
    token = f"<{table[:1]}{number:05}>"
    return message(number, text=token * (1200 if number % 10 == 0 else 1))


def everything() -> list[outbox.Row | Entry | DeadLetter]:
    """Rows for all tables."""
    things: list[outbox.Row | Entry | DeadLetter] = []
    for number in range(120):
        things.append(outbox.Row(f"event{number % 3}", body("outbox", number), Moment(float(number), None)))
        if number % 3 == 0:
            things.append(Entry("Thermo/1/watch", body("spool", number)))
            things.append(letter(number, message=body("dead_letters", number)))
    return things


def poke(file: Path, at: int, data: bytes) -> None:
    with file.open("r+b") as out:
        out.seek(at)
        out.write(data)


def on_page(original: Original, page: int) -> set[bytes]:
    """The messages of which something is on a page, found without SQLite."""
    data = original.data[page * schema.PAGE : (page + 1) * schema.PAGE]
    return {one.message for one in everything() if one.message[-12:-4] in data}


# --- one damaged place


class Original:
    """A file, and its rows."""

    def __init__(self, file: Path, rows: Rows) -> None:
        self.file = file
        self.rows = rows
        self.data = file.read_bytes()
        self.pages = len(self.data) // schema.PAGE


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    """A file with rows in all tables, some deleted, and its rows."""
    file = make(tmp_path_factory.mktemp("original") / "messages.db", *everything())
    with opened(file) as db:
        outbox.delete(db, [number + 1 for number in DELETED])
        for key in ("a", "b"):
            seen.insert(db, "Thermo/1/watch", key)
    rows, found = reopen(file)
    assert found is None
    return Original(file, rows)


def damaged_copy(original: Original, tmp_path: Path) -> Path:
    shutil.rmtree(tmp_path / "copy", ignore_errors=True)
    (tmp_path / "copy").mkdir(mode=0o700)
    return Path(shutil.copyfile(original.file, tmp_path / "copy" / "messages.db"))


QUIET = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=150
)
SLOW = settings(QUIET, max_examples=40)


@QUIET
@given(place=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_one_damaged_byte(original: Original, tmp_path: Path, place: float, change: int) -> None:
    data = original.data
    at = int(place * len(data))
    check_damaged(original, tmp_path, at, bytes([data[at] ^ change]))


@QUIET
@given(at=st.integers(0, 99), change=st.integers(1, 255))
def test_one_damaged_byte_in_the_header(original: Original, tmp_path: Path, at: int, change: int) -> None:
    check_damaged(original, tmp_path, at, bytes([original.data[at] ^ change]))


def test_damage_in_the_name_of_a_table(original: Original, tmp_path: Path) -> None:
    """SQLite's message then holds bytes that are no UTF-8, and Python raises another error."""
    for name in (b"outbox", b"dead_letters", b"meta"):
        check_damaged(original, tmp_path, original.data[: schema.PAGE].rindex(b"CREATE TABLE " + name) + 13, b"\xc3")
        check_damaged(original, tmp_path, original.data[: schema.PAGE].index(name), b"\xc3")


@pytest.mark.parametrize("noise", [False, True])
def test_each_page_lost(original: Original, tmp_path: Path, noise: bool) -> None:
    for number in range(original.pages):
        page = os.urandom(schema.PAGE) if noise else bytes(schema.PAGE)
        check_damaged(original, tmp_path, number * schema.PAGE, page)


def check_damaged(original: Original, tmp_path: Path, at: int, data: bytes) -> None:
    """Damages a place, and sees what the application gets."""
    rows = original.rows
    file = damaged_copy(original, tmp_path)
    poke(file, at, data)
    found, _ = reopen(file)
    touched = on_page(original, at // schema.PAGE)
    for table in TABLES:
        written, saved = rows[table], found[table]
        strange = set(saved.values()).difference(written.values())
        # A deleted one may come back; it was written once.
        assert strange <= {body("outbox", number) for number in DELETED}, f"{table}: never written"
        lost = set(written.values()).difference(saved.values()) - touched
        assert not lost, f"{table}: {len(lost)} were lost that have nothing on page {at // schema.PAGE + 1}"
    again, damaged = reopen(file)
    assert damaged is None, "it is whole afterwards"
    assert again == found


@SLOW
@given(place=st.floats(0, 1, exclude_max=True))
def test_a_file_that_was_cut_off(original: Original, tmp_path: Path, place: float) -> None:
    rows = original.rows
    file = damaged_copy(original, tmp_path)
    size = int(place * len(original.data))
    os.truncate(file, size)
    found, _ = reopen(file)
    for table in TABLES:
        assert set(found[table].values()) <= {*rows[table].values(), *(body("outbox", number) for number in DELETED)}
    gone = set().union(*(on_page(original, page) for page in range(size // schema.PAGE, original.pages)))
    if size:
        for table in TABLES:
            assert set(rows[table].values()) - gone <= set(found[table].values())


# --- the log


def logged(file: Path, count: int = 40) -> Rows:
    """A file with one row, and a log with one transaction for each of the others."""
    make(file, row(0))
    crash(file, lambda db: [fill(db, row(number)) for number in range(1, count)])
    file.with_name("messages.db-shm").unlink()
    return {"outbox": {number + 1: message(number) for number in range(count)}, "spool": {}, "dead_letters": {}}


@SLOW
@given(place=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_one_damaged_byte_of_the_log(tmp_path: Path, place: float, change: int) -> None:
    shutil.rmtree(tmp_path / "node", ignore_errors=True)
    file = tmp_path / "node" / "messages.db"
    rows = logged(file)
    log = file.with_name("messages.db-wal")
    data = log.read_bytes()
    at = int(place * len(data))
    poke(log, at, bytes([data[at] ^ change]))
    found, damaged = reopen(file)
    assert found["outbox"].items() <= rows["outbox"].items()
    lost = rows["outbox"].keys() - found["outbox"].keys()
    if damaged is None:
        # A power cut in the middle of the last transaction looks the same.
        assert lost <= {max(rows["outbox"])}
    else:
        assert "the log (messages.db-wal)" in damaged.what
        assert damaged.aside.with_name(damaged.aside.name + "-wal").read_bytes()[at] == data[at] ^ change
        # Later frames of the same page hold what the damaged one held, but for the last of that page.
        assert len(lost) <= 25
    assert reopen(file)[0] == found


def test_a_torn_tail_is_no_damage(file: Path) -> None:
    """What a power cut leaves: the last transaction was written in part, and was not confirmed."""
    rows = logged(file)
    log = file.with_name("messages.db-wal")
    whole = log.read_bytes()
    frame = 24 + schema.PAGE
    for cut in (1, 100, frame - 1):
        log.write_bytes(whole[:-cut])
        found, damaged = reopen(shutil.copytree(file.parent, file.parent.with_name(f"cut{cut}")) / "messages.db")
        assert damaged is None
        assert rows["outbox"].keys() - found["outbox"].keys() == {40}
    # Frames reach the disk in any order: an early one may be missing.
    with_hole = bytearray(whole)
    with_hole[-2 * frame : -frame] = bytes(frame)
    log.write_bytes(with_hole)
    found, damaged = reopen(file)
    assert damaged is None
    assert found["outbox"].keys() >= set(range(1, 39))


def test_frames_of_an_earlier_round_are_no_damage(file: Path) -> None:
    logged(file, 60)
    assert len(reopen(file)[0]["outbox"]) == 60

    def work(db: sqlite3.Connection) -> None:
        for number in range(30):
            fill(db, row(number))
        db.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        fill(db, row(99))

    crash(file, work)
    assert file.with_name("messages.db-wal").stat().st_size > 20 * schema.PAGE
    found, damaged = reopen(file)
    assert damaged is None
    assert len(found["outbox"]) == 91


@pytest.mark.parametrize("size", [0, 1, 31, 32, 4151, 4152, 100_000])
def test_a_log_of_noise(file: Path, size: int) -> None:
    make(file, row(1))
    file.with_name("messages.db-wal").write_bytes(os.urandom(size))
    found, _ = reopen(file)
    assert found["outbox"] == {1: message(1)}


def test_a_log_without_its_file(file: Path) -> None:
    """The file was emptied or removed, and the log holds most of it."""
    make(file)
    crash(file, lambda db: [fill(db, row(number)) for number in range(3)])
    os.truncate(file, 0)
    found, damaged = reopen(file)
    assert damaged is not None
    assert "its log is not" in damaged.what
    assert set(found["outbox"].values()) == {message(number) for number in range(3)}


def test_a_lost_first_page_with_a_log(file: Path) -> None:
    rows = logged(file)
    poke(file, 0, bytes(schema.PAGE))
    found, damaged = reopen(file)
    assert damaged is not None
    assert found == rows


# --- what is in the place of the file


def test_an_empty_file_is_a_new_one(file: Path) -> None:
    file.parent.mkdir()
    file.touch(0o600)
    assert reopen(file) == ({name: {} for name in TABLES}, None)


def test_a_process_that_ended_while_it_made_the_file(file: Path) -> None:
    file.parent.mkdir()
    schema.connect(file).close()
    assert reopen(file)[1] is None
    file.unlink()
    crash(file, lambda db: db.execute("CREATE TABLE half (a)"))
    db, found = open_or_recover(file)
    with closing(db):
        fill(db, row(1))
        assert schema.is_current(db)
    assert found is None or not any(found.saved.values())


def test_a_folder_in_its_place_is_an_error(file: Path) -> None:
    file.mkdir(parents=True)
    with pytest.raises(OSError, match=r"messages\.db"):
        open_or_recover(file)


def test_a_newer_format_is_left_alone(file: Path) -> None:
    make(file, row(1))
    with opened(file) as db:
        db.execute("PRAGMA user_version = 7")
        schema.put(db, "format", 7)
    before = file.read_bytes()
    with pytest.raises(RuntimeError, match=r"written by a newer version \(format 7, this one knows 1\)"):
        open_or_recover(file)
    assert file.read_bytes() == before
    assert not asides(file)


@pytest.mark.parametrize("statement", ["DROP TABLE outbox", "ALTER TABLE spool DROP COLUMN again", "DROP TABLE meta"])
def test_tables_that_are_not_ours(file: Path, statement: str) -> None:
    make(file, row(1), letter(2))
    with opened(file) as db:
        db.execute(statement)
    found, damaged = reopen(file)
    assert damaged is not None
    assert found["dead_letters"] == {1: message(2)}


def test_the_first_pages_of_all_files_are_alike(file: Path, tmp_path: Path) -> None:
    """Where a first page is lost that of a new file is laid over it, so tables have to begin at the same pages."""
    roots = []
    for path in (file, tmp_path / "other" / "messages.db"):
        make(path, *(everything() if path is file else ()))
        with opened(path) as db:
            db.execute("PRAGMA incremental_vacuum").fetchall()
            roots.append(db.execute("SELECT name, rootpage, sql FROM sqlite_schema ORDER BY rootpage").fetchall())
            assert db.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    assert roots[0] == roots[1]


# --- what is set aside


def test_damaged_files_are_kept_each_under_a_name_of_its_own(file: Path) -> None:
    kept = []
    for number in range(3):
        make(file) if not number else None
        with opened(file) as db:
            fill(db, row(number))
        poke(file, 0, os.urandom(100))
        kept.append(file.read_bytes())
        found, damaged = reopen(file)
        assert damaged is not None
        assert damaged.aside.exists()
        assert str(damaged.aside) in str(damaged)
        assert f"{number + 1} of outbox" in str(damaged)
        assert len(found["outbox"]) == number + 1
    assert sorted(path.read_bytes() for path in asides(file)) == sorted(kept)
    assert {path.stat().st_mode & 0o777 for path in file.parent.iterdir()} == {0o600}
    assert sorted(path.name for path in file.parent.iterdir() if path not in asides(file)) == ["messages.db"]


def test_what_is_remembered_stays(file: Path) -> None:
    make(file, row(1))
    with opened(file) as db:
        outbox.count_drops(db, "full", 7)
        schema.put(db, "powered", 1234.5)
        seen.insert(db, "Thermo/1/watch", "a")
        store = schema.get(db, "store")
    poke(file, 0, bytes(100))
    db, _ = open_or_recover(file)
    with closing(db):
        assert outbox.drops(db) == {"full": 7}
        assert schema.get(db, "powered") == 1234.5
        assert seen.load(db, "Thermo/1/watch") == ["a"]
        assert schema.get(db, "store") != store, (
            "numbers may be others, so what a broker remembers of them does not count"
        )


class EndedError(BaseException):
    """The process ends here."""


def test_a_recovery_that_is_ended_anywhere_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = 0
    for end in range(1, 100):
        file = tmp_path / str(end) / "messages.db"
        rows = logged(file)
        poke(file, 0, bytes(schema.PAGE))
        count = 0

        def step(function, *arguments, **options):
            nonlocal count
            count += 1
            if count == end:  # noqa: B023
                raise EndedError
            return function(*arguments, **options)

        with monkeypatch.context() as patch:
            for owner, name in [
                (os, "link"),
                (os, "fsync"),
                (Path, "rename"),
                (Path, "replace"),
                (Path, "unlink"),
                (shutil, "copyfile"),
                (sqlite3, "connect"),
            ]:
                real = getattr(owner, name)
                patch.setattr(owner, name, lambda *a, _real=real, **o: step(_real, *a, **o))
            try:
                reopen(file)
                is_done = True
            except EndedError:
                is_done = False
        assert reopen(file)[0] == rows, f"ended at step {end}"
        names = sorted(path.name for path in file.parent.iterdir())
        assert [name for name in names if not name.startswith("messages.damaged-")] == ["messages.db"]
        steps = end
        if is_done:
            break
    assert steps > 15


def test_a_full_disk_keeps_the_damaged_file_in_its_place(disk: Disk) -> None:
    file = make(disk.folder / "node" / "messages.db", *everything())
    poke(file, 0, bytes(schema.PAGE))
    disk.fill(leave=100_000)
    with pytest.raises((sqlite3.OperationalError, OSError)):
        open_or_recover(file)
    assert [path.name for path in file.parent.iterdir()] == ["messages.db"]
    disk.free()
    found, damaged = reopen(file)
    assert damaged is not None
    assert len(found["outbox"]) >= 120
