"""More than it can take, and a stop in the middle of it."""

from __future__ import annotations

import signal
import time

from tests.faults.lab.bench import Bench, until
from tests.faults.rounds import rounds
from tests.faults.settings import outbox
from tests.faults.table import Table

SUBJECT = "flood"
MEBIBYTE = 1024 * 1024


def test_ten_times_the_capacity(bench: Bench, table: Table) -> None:
    """A handler of 10 ms gets ten times of what it can take: memory is bounded, and its heartbeats go on."""
    bench.start_broker()
    slow = {"event": "tick", "work": 0.01}
    subscriber = bench.subscriber("core_1", slow)
    emitter = bench.emitter(tasks=100, rate=1000, count=None)
    bench.until_handled(20)
    before = subscriber.memory, emitter.memory
    # Longer than the keep-alive of 5 s and its half again.
    time.sleep(rounds(8, 60))
    after = subscriber.memory, emitter.memory
    statistics = subscriber.ask("statistics")
    sender = emitter.ask("statistics")
    assert statistics["reconnects"] == sender["reconnects"] == 0
    assert statistics["connected"]
    grown = [(late - early) / MEBIBYTE for early, late in zip(before, after, strict=True)]
    assert max(grown) < 32, f"grown by {grown} MiB"
    emitter.ask("halt")
    emitter.wait_for("done")
    assert subscriber.finish() == 0
    bench.heal()
    subscriber = bench.subscriber("core_1")
    emitter.ask("one")
    oracle = bench.oracle()
    verdict = oracle.wait()
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    note = f"grown by {grown[0]:.1f} MiB (subscriber), {grown[1]:.1f} MiB (emitter), no reconnect"
    table.add(SUBJECT, "ten times what a handler can take", verdict, note=note)


def test_the_emitter_feels_it(bench: Bench, table: Table) -> None:
    """A broker that has fallen silent, and an outbox that holds 500: emits fail with 507, memory stays where it was."""
    broker = bench.start_broker()
    subscriber = bench.subscriber()
    emitter = bench.emitter(tasks=100, sections=outbox("disk", max_messages=500, hold="2s"), size=2000)
    emitter.wait_for("first")
    broker.freeze()
    until(lambda: "507" in emitter.ask("counts")["failed"], 30, "an emit that fails with 507")
    before = emitter.memory
    confirmed = emitter.ask("counts")["confirmed"]
    time.sleep(rounds(1, 30))
    grown = (emitter.memory - before) / MEBIBYTE
    assert emitter.ask("counts")["confirmed"] - confirmed <= 500
    assert grown < 16, f"grown by {grown:.1f} MiB"
    broker.thaw()
    bench.heal()
    bench.until_confirmed(100)
    emitter.ask("halt")
    emitter.wait_for("done")
    verdict = bench.oracle().wait()
    refused = emitter.ask("counts")["failed"]
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    note = f"refused: {refused['507']} x 507; grown by {grown:.1f} MiB"
    table.add(SUBJECT, "an outbox of 500 messages, the broker silent", verdict, note=note)


def test_the_oldest_make_room(bench: Bench, table: Table) -> None:
    """``overflow="drop_oldest"``: what is missing is counted, one by one."""
    broker = bench.start_broker()
    subscriber = bench.subscriber()
    sections = outbox("disk", max_messages=100, overflow="drop_oldest")
    emitter = bench.emitter(rate=500, count=1000, sections=sections)
    emitter.wait_for("first")
    oracle = bench.oracle()
    broker.freeze()
    emitter.wait_for("done")
    broker.thaw()
    bench.heal()
    emitter.ask("one")
    oracle.settle(quiet=3)
    missing = {key for _, key in oracle.judge().lost}
    dropped = emitter.ask("statistics")["outbox"]["dropped"]
    assert len(missing) > 500
    # One that was under way when it was dropped may have arrived all the same: as many as sockets hold.
    assert len(missing) <= sum(dropped.values()) < 1000, dropped
    verdict = oracle.judge(excused=missing)
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    table.add(SUBJECT, "overflow=drop_oldest at 100", verdict, note=f"dropped and counted: {dropped}")


def test_sigterm_under_load(bench: Bench, table: Table) -> None:
    """It finishes what it has begun and exits with 0."""
    bench.start_broker()
    assert bench.subscriber("core_1").finish() == 0
    count = rounds(1, 40)
    emitter = bench.emitter(tasks=50, rate=1000)
    for _ in range(count):
        subscriber = bench.subscriber("core_1", {"event": "tick", "work": 0.002})
        bench.until_handled(20)
        subscriber.signal(signal.SIGTERM)
        subscriber.wait_for("stopped")
        assert subscriber.wait() == 0
        bench.heal()
    subscriber = bench.subscriber("core_1")
    emitter.ask("halt")
    emitter.wait_for("done")
    emitter.ask("one")
    verdict = bench.oracle().wait()
    assert verdict.duplicates == 0, "what was begun was also acknowledged"
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    table.add(SUBJECT, "SIGTERM of the subscriber under load", verdict, rounds=count)


def test_sigterm_of_an_emitter_with_a_backlog(bench: Bench, table: Table) -> None:
    """It does not wait for a broker that is away; the next life sends what is left."""
    broker = bench.start_broker()
    subscriber = bench.subscriber()
    emitter = bench.emitter(tasks=8, sections={**outbox("disk"), "app": {"drain_timeout": 2.0}}, rate=500)
    emitter.wait_for("first")
    broker.stop()
    bench.until_confirmed(200)
    assert emitter.finish() == 0
    broker.start()
    bench.heal()
    emitter = bench.emitter(count=20, sections=outbox("disk"))
    emitter.wait_for("done")
    verdict = bench.oracle().wait()
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    table.add(SUBJECT, "a stop of the emitter with a backlog", verdict)
