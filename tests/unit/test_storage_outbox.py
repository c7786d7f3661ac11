"""The table of the outbox."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purista_fast.storage import dead_letters, outbox, schema
from purista_fast.storage.clock import Moment
from purista_fast.storage.outbox import OVERHEAD, Gone, Row
from tests.unit.stores import message, new, row


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(new(tmp_path / "messages.db")) as made:
        yield made


def numbers(db: sqlite3.Connection) -> list[int]:
    return [seq for (seq,) in db.execute("SELECT seq FROM outbox ORDER BY seq")]


def test_what_comes_out_is_what_went_in(db: sqlite3.Connection) -> None:
    rows = [
        Row("a", b"0", Moment(0.0, None)),
        Row("ü\0\n", b"\x00\xff" * 5000, Moment(1e9 + 0.25, 1 << 45), ordered=False, hold=True),
        Row("b" * 1000, b"{}", Moment(5, 0)),
    ]
    outbox.insert(db, rows)
    assert [one.seq for one in rows] == [1, 2, 3]
    assert outbox.load(db, 0, 10) == (rows, 3, [])


def test_numbers_are_never_used_again(db: sqlite3.Connection) -> None:
    outbox.insert(db, [row(1), row(2)])
    outbox.delete(db, [1, 2, 99])
    again = row(3)
    outbox.insert(db, [again])
    assert again.seq == 3


def test_pieces_are_read_one_after_the_other(db: sqlite3.Connection) -> None:
    outbox.insert(db, [row(number) for number in range(25)])
    outbox.delete(db, [3, 4])
    found, last, pieces = [], 0, 0
    while True:
        rows, last, _ = outbox.load(db, last, 10)
        if not rows:
            break
        found += [one.seq for one in rows]
        pieces += 1
    assert found == numbers(db)
    assert (pieces, last) == (3, 25)
    assert outbox.load(db, 1000, 10) == ([], 1000, [])


@pytest.mark.parametrize(
    "change",
    [
        "message = x'00'",
        "crc = crc + 1",
        "message = CAST(message AS TEXT)",
        "name = CAST(name AS BLOB)",
        "powered = 'soon'",
        "wall = x'00'",
        "crc = 'none'",
    ],
)
def test_what_is_damaged_becomes_a_dead_letter_and_holds_nobody_up(db: sqlite3.Connection, change: str) -> None:
    outbox.insert(db, [row(1), row(2, hold=True), row(3)])
    db.execute(f"UPDATE outbox SET {change} WHERE seq = 2")
    outbox.totals(db)
    outbox.oldest(db)
    outbox.expire(db, Moment(0.0, None), 1.0)
    rows, last, damaged = outbox.load(db, 0, 10)
    assert ([one.seq for one in rows], last) == ([1, 3], 3)
    assert [(gone.seq, gone.ordered) for gone in damaged] == [(2, True)]
    (found,) = dead_letters.list_all(db)
    assert (found.origin, found.target, found.error) == (
        "damaged",
        "outbox",
        "the bytes on disk are not those that were written",
    )
    assert isinstance(found.message, bytes)
    assert outbox.load(db, 0, 10)[2] == []


def test_a_name_that_is_no_text_any_more_is_read(tmp_path: Path) -> None:
    file = tmp_path / "messages.db"
    with closing(new(file)) as db:
        outbox.insert(db, [row(1, "plainname"), row(2)])
    data = file.read_bytes()
    file.write_bytes(data.replace(b"plainname{", b"plain\xffame{"))
    with closing(schema.connect(file)) as db:
        rows, _, damaged = outbox.load(db, 0, 10)
    assert [one.message for one in rows] == [message(1, "plainname"), message(2)]
    assert rows[0].name == "plain\ufffdame"
    assert not damaged


def test_totals_and_the_oldest(db: sqlite3.Connection) -> None:
    assert outbox.totals(db) == outbox.Totals(0, 0, 0, {})
    assert outbox.oldest(db) is None
    rows = [row(1, "a", Moment(5.0, 9)), row(2, "a", hold=True), row(3, "b", ordered=False)]
    outbox.insert(db, rows)
    assert outbox.totals(db) == outbox.Totals(3, sum(one.size for one in rows), 1, {"a": 2})
    assert outbox.oldest(db) == Moment(5.0, 9)


def test_the_oldest_of_a_name_make_room(db: sqlite3.Connection) -> None:
    rows = [row(number, "ab"[number % 2]) for number in range(10)]
    outbox.insert(db, rows)
    dropped = outbox.drop_oldest(db, "a", rows[0].size + 1)
    assert [gone.seq for gone in dropped] == [1, 3]
    assert all(gone == rows[gone.seq - 1].as_gone() for gone in dropped)
    assert [gone.seq for gone in outbox.drop_oldest(db, "a", 1 << 40)] == [5, 7, 9]
    assert outbox.drop_oldest(db, "a", 1) == []
    assert numbers(db) == [2, 4, 6, 8, 10]


def test_so_many_of_a_name_make_room(db: sqlite3.Connection) -> None:
    rows = [row(number, "ab"[number % 2]) for number in range(10)]
    outbox.insert(db, rows)
    assert [gone.seq for gone in outbox.drop_oldest(db, "a", 1, 3)] == [1, 3, 5]
    assert [gone.seq for gone in outbox.drop_oldest(db, "a", 1, 3)] == [7, 9]


def test_events_of_one_name_may_end_earlier(db: sqlite3.Connection) -> None:
    now = Moment(1_000_000.0, None)
    outbox.insert(db, [row(number, "ab"[number % 2], Moment(now.powered - 50, None)) for number in range(4)])
    assert outbox.names(db) == ["a", "b"]
    assert outbox.expire(db, now, 60) == []
    assert outbox.expire(db, now, 40, name="c") == []
    assert [gone.seq for gone in outbox.expire(db, now, 40, sent=[1], name="a")] == [3]
    assert numbers(db) == [1, 2, 4]


def test_age_by_powered_time_or_by_the_wall_clock(db: sqlite3.Connection) -> None:
    hour, now = 3600, Moment(1_000_000.0, 1_700_000_000_000)
    assert now.wall is not None
    rows = [
        row(1, since=Moment(now.powered - 2 * hour, None)),
        row(2, since=Moment(now.powered - 10, now.wall - 2 * hour * 1000)),
        row(3, since=Moment(now.powered - 10, None)),
        row(4, since=Moment(now.powered - 10, now.wall - 10_000)),
        row(5, since=Moment(now.powered + 99, now.wall + 99)),
    ]
    outbox.insert(db, rows)
    # A clock that is not right ends nothing.
    assert [gone.seq for gone in outbox.expire(db, Moment(now.powered, None), hour)] == [1]
    assert [gone.seq for gone in outbox.expire(db, now, hour, sent=[2])] == []
    assert [gone.seq for gone in outbox.expire(db, now, hour)] == [2]
    assert numbers(db) == [3, 4, 5]


def test_room_is_given_back_to_the_disk(tmp_path: Path) -> None:
    file = tmp_path / "messages.db"
    with closing(new(file)) as db:
        outbox.insert(db, [Row("a", b"x" * 3000, Moment(0.0, None)) for _ in range(2000)])
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        full = file.stat().st_size
        for start in range(1, 2001, 100):
            outbox.delete(db, range(start, start + 100))
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        assert file.stat().st_size < full / 4
        assert file.with_name("messages.db-wal").stat().st_size <= 1 << 20


def test_drops_are_counted_for_ever(db: sqlite3.Connection) -> None:
    assert outbox.drops(db) == {}
    for reason, count in [("full", 2), ("too old", 1), ("full", 3), ("a.b%", 1)]:
        outbox.count_drops(db, reason, count)
    assert outbox.drops(db) == {"full": 5, "too old": 1, "a.b%": 1}


def test_which_are_missing(db: sqlite3.Connection) -> None:
    outbox.insert(db, [row(1), row(2), row(3)])
    outbox.delete(db, [2])
    assert outbox.missing(db, [1, 2, 3, 4]) == {2, 4}
    assert outbox.missing(db, []) == set()


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.sampled_from("abc"), st.integers(0, 5000)),
        st.tuples(st.just("delete"), st.integers(1, 30), st.just(0)),
        st.tuples(st.just("drop"), st.sampled_from("abc"), st.integers(1, 9000)),
        st.tuples(st.just("expire"), st.integers(0, 60), st.just(0)),
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=60)
@given(actions=ACTIONS)
def test_it_behaves_like_a_list(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, object, int]]
) -> None:
    twin: dict[int, Row] = {}
    with closing(new(tmp_path_factory.mktemp("twin") / "messages.db")) as db:
        for time, (action, what, size) in enumerate(actions):
            now = Moment(float(time), None)
            if action == "insert":
                one = Row(str(what), bytes(max(size, 1)), now)
                outbox.insert(db, [one])
                twin[one.seq] = one
            elif action == "delete":
                outbox.delete(db, [int(str(what))])
                twin.pop(int(str(what)), None)
            elif action == "drop":
                gone: list[Gone] = []
                for one in [one for one in twin.values() if one.name == what]:
                    if sum(each.size for each in gone) < size:
                        gone.append(twin.pop(one.seq).as_gone())
                assert outbox.drop_oldest(db, str(what), size) == gone
            else:
                old = [one for one in twin.values() if one.since.powered < time - int(str(what))]
                assert outbox.expire(db, now, float(str(what))) == [twin.pop(one.seq).as_gone() for one in old]
            totals = outbox.totals(db)
            assert (totals.messages, totals.bytes) == (len(twin), sum(one.size for one in twin.values()))
        assert outbox.load(db, 0, 1000)[0] == list(twin.values())
        assert OVERHEAD > 0
