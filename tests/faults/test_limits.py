"""Receive maxima, packet ids, packets that are too large, and two processes with one name."""

from __future__ import annotations

import pytest

from tests.faults.lab.bench import Bench, until
from tests.faults.rounds import IS_LONG, rounds
from tests.faults.table import Table

SUBJECT = "limits"


@pytest.mark.parametrize("maximum", [1, 20, 65535])
def test_receive_maximum(bench: Bench, table: Table, maximum: int) -> None:
    """Of the subscriber, and of the broker."""
    bench.start_broker(window=maximum if maximum < 65535 else 0)
    sections = {"bridge": {"receive_maximum": maximum}}
    assert bench.subscriber("core_1", sections=sections).finish() == 0
    emitter = bench.emitter(tasks=200, count=rounds(2000, 50_000))
    emitter.wait_for("done", 300)
    bench.heal()
    subscriber = bench.subscriber("core_1", sections=sections)
    emitter.ask("one")
    verdict = bench.oracle().wait()
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    assert verdict.duplicates == 0
    table.add(SUBJECT, f"receive maximum {maximum}", verdict)


def test_packet_ids_wrap(bench: Bench, table: Table) -> None:
    """There are 65535 of them; the short form begins near the end, the long one counts all the way, twice."""
    bench.start_broker()
    subscriber = bench.subscriber()
    what = {"tasks": 100, "count": 140_000} if IS_LONG else {"tasks": 100, "count": 3000, "first_packet_id": 64_500}
    emitter = bench.emitter(**what)
    emitter.wait_for("done", 600)
    bench.heal()
    emitter.ask("one")
    verdict = bench.oracle().wait()
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    assert verdict.duplicates == 0
    table.add(SUBJECT, "packet ids wrap", verdict)


def test_a_packet_that_is_too_large_fails_alone(bench: Bench, table: Table) -> None:
    bench.start_broker(lines=["max_packet_size 20000"])
    subscriber = bench.subscriber()
    emitter = bench.emitter(tasks=4, rate=200)
    emitter.wait_for("first")
    count = rounds(5, 200)
    for _ in range(count):
        assert emitter.ask("one", 25_000) is False
        bench.until_handled(5)
    bench.heal()
    bench.until_handled(20)
    emitter.ask("halt")
    emitter.wait_for("done")
    verdict = bench.oracle().wait()
    statistics = emitter.ask("statistics")
    assert statistics["reconnects"] == 0, "the connection survives it"
    assert emitter.ask("counts")["failed"] == {"413": count}
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    table.add(SUBJECT, "a packet that is too large fails alone", verdict, rounds=count, note=f"{count} x 413")


def test_a_session_that_is_taken_over(bench: Bench, table: Table) -> None:
    """The older process ends with one clear error, the younger one works; they do not throw each other out for ever."""
    broker = bench.start_broker()
    other_state = {"storage": {"state_dir": str(bench.folder / "elsewhere")}}
    older = bench.subscriber("core_1")
    emitter = bench.emitter(rate=100, tasks=2)
    bench.until_handled(20)
    younger = bench.subscriber("core_1", sections=other_state, wait=False)
    until(lambda: older.exit_code is not None or younger.exit_code is not None, 60, "the end of one of them")
    ended, left = (older, younger) if older.exit_code is not None else (younger, older)
    assert ended.wait() != 0
    assert left.exit_code is None
    assert "core_1" in bench.log_of("core_1")
    assert "instance" in bench.log_of("core_1")
    connects = broker.log.count(" as core_1 ")
    bench.heal()
    bench.until_handled(50)
    assert broker.log.count(" as core_1 ") - connects <= 2, "there is peace"
    assert connects <= 15
    emitter.ask("halt")
    emitter.wait_for("done")
    verdict = bench.oracle().wait()
    assert (emitter.finish(), left.finish()) == (0, 0)
    note = f"{connects} connects until there was peace"
    table.add(SUBJECT, "a session that is taken over", verdict, note=note)
