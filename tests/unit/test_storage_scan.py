"""Rows found page by page, against what SQLite says of a whole file."""

import os
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from purista_fast.storage import outbox
from purista_fast.storage.clock import Moment
from purista_fast.storage.scan import scan
from tests.unit.stores import new

INTEGERS = st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(-300, 300)
ROWS = st.lists(
    st.tuples(
        st.text(max_size=50).filter(lambda text: "\0" not in text),
        st.booleans(),
        st.floats(allow_nan=False),
        st.none() | INTEGERS,
        st.binary(max_size=300) | st.integers(3900, 13_000).map(os.urandom),
    ),
    max_size=30,
)


@settings(deadline=None, max_examples=60)
@given(rows=ROWS, deleted=st.sets(st.integers(1, 30)))
def test_it_finds_what_sqlite_finds(tmp_path_factory: pytest.TempPathFactory, rows: list, deleted: set[int]) -> None:
    file = tmp_path_factory.mktemp("scan") / "messages.db"
    with closing(new(file)) as db:
        outbox.insert(db, [outbox.Row(name, body, Moment(time, wall), hold) for name, hold, time, wall, body in rows])
        outbox.delete(db, deleted)
        expected = db.execute("SELECT * FROM outbox ORDER BY seq").fetchall()
    found = [(one.number, *one.values[1:]) for one in scan(file) if len(one.values) == 8]
    assert sorted(found) == expected


def test_free_pages_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "messages.db"
    with closing(new(file)) as db:
        outbox.insert(db, [outbox.Row("a", bytes(2000), Moment(0.0, None)) for _ in range(100)])
        outbox.delete(db, range(1, 91))
        assert db.execute("PRAGMA freelist_count").fetchone()[0] > 10
    assert [one.number for one in scan(file) if len(one.values) == 8] == list(range(91, 101))


@settings(deadline=None, max_examples=100)
@given(data=st.binary(max_size=5000))
def test_noise_is_no_row(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.mktemp("noise") / "messages.db"
    for leaf in (b"", b"\x0d"):
        file.write_bytes((leaf + data) * 3)
        list(scan(file))
