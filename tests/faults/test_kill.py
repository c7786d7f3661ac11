"""kill -9 of the emitter, of the subscriber, of the broker."""

from __future__ import annotations

import time

import pytest

from tests.faults.lab.bench import Bench
from tests.faults.rounds import backend, rounds
from tests.faults.table import Table

SUBJECT = "kill -9"


@pytest.mark.parametrize("durability", ["broker", "disk"])
def test_emitter_at_random_points(bench: Bench, table: Table, durability: str) -> None:
    bench.start_broker()
    subscriber = bench.subscriber()
    count = rounds(3, 100)
    for number in range(count):
        options = {"tasks": 1 + 3 * (number % 2), "rate": 400}
        emitter = bench.emitter(**options, backend=backend(number), sections=_outbox(durability), wait=False)
        if number % 4 != 3:
            emitter.wait_for("first")
        time.sleep(bench.random.uniform(0.0, 0.6))
        emitter.kill()
        bench.journal.mark("healed")
    last = bench.emitter(sections=_outbox(durability), count=20)
    last.wait_for("done")
    verdict = bench.oracle().wait()
    assert (last.finish(), subscriber.finish()) == (0, 0)
    table.add(SUBJECT, f"emitter at random points, durability={durability}", verdict.check(), rounds=count)


def test_subscriber_in_the_middle_of_handlers(bench: Bench, table: Table) -> None:
    bench.start_broker()
    bench.subscriber("core_1").finish()
    emitter = bench.emitter(rate=200)
    count = rounds(3, 60)
    for number in range(count):
        subscriber = bench.subscriber("core_1", {"event": "tick", "work": 0.003}, backend=backend(number))
        before = bench.oracle().handled
        _until_handled(bench, before + 1)
        time.sleep(bench.random.uniform(0.0, 0.4))
        subscriber.kill()
        bench.journal.mark("healed")
    subscriber = bench.subscriber("core_1")
    emitter.ask("one")
    emitter.ask("halt")
    verdict = bench.oracle().wait()
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    table.add(SUBJECT, "subscriber in the middle of handlers", verdict.check(), rounds=count)


def _until_handled(bench: Bench, count: int) -> None:
    oracle = bench.oracle()
    end = time.monotonic() + 30
    while oracle.handled < count:
        assert time.monotonic() < end, bench.log_of("core_1")
        time.sleep(0.02)


def _outbox(durability: str) -> dict[str, dict[str, object]]:
    return {} if durability == "broker" else {"outbox": {"durability": durability}}
