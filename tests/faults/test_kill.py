"""kill -9 of the emitter, of the subscriber, of the broker."""

from __future__ import annotations

import time

import pytest

from tests.faults import peers
from tests.faults.lab.bench import Bench
from tests.faults.rounds import IS_LONG, backend, rounds
from tests.faults.settings import outbox
from tests.faults.table import Table

SUBJECT = "kill -9"
both = pytest.mark.parametrize("durability", ["broker", "disk"])


@both
def test_emitter_at_random_points(bench: Bench, table: Table, durability: str) -> None:
    bench.start_broker()
    subscriber = bench.subscriber()
    count = rounds(2, 200)
    for number in range(count):
        tasks = 1 + 3 * (number % 2)
        options = {"tasks": tasks, "rate": 400, "backend": backend(number), "wait": False}
        emitter = bench.emitter(**options, sections=outbox(durability))
        if number % 4 != 3:
            emitter.wait_for("first")
        time.sleep(bench.random.uniform(0.0, 0.6))
        emitter.kill()
        bench.heal()
    last = bench.emitter(sections=outbox(durability), count=20)
    last.wait_for("done")
    verdict = bench.oracle().wait()
    assert (last.finish(), subscriber.finish()) == (0, 0)
    others = peers.compare(peers.emitter_killed, bench.folder / "peers", count) if durability == "broker" else {}
    case = f"emitter at random points, durability={durability}"
    table.add(SUBJECT, case, verdict, rounds=count, peers=others)


def test_subscriber_in_the_middle_of_handlers(bench: Bench, table: Table) -> None:
    bench.start_broker()
    bench.subscriber("core_1").finish()
    emitter = bench.emitter(rate=200)
    count = rounds(2, 100)
    for number in range(count):
        subscriber = bench.subscriber("core_1", {"event": "tick", "work": 0.003}, backend=backend(number))
        bench.until_handled(1)
        time.sleep(bench.random.uniform(0.0, 0.4))
        subscriber.kill()
        bench.heal()
    subscriber = bench.subscriber("core_1")
    emitter.ask("one")
    emitter.ask("halt")
    verdict = bench.oracle().wait()
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    # The message that it was killed over comes back as a retry, and retries leave the order: one for each kill.
    late, verdict.reordered = len(verdict.reordered), verdict.reordered[count:]
    note = f"{late} of those that it was killed over came late" if late else ""
    table.add(SUBJECT, "subscriber in the middle of handlers", verdict, rounds=count, note=note)


@pytest.mark.parametrize("shared", [True, False])
@both
def test_broker_that_saves(bench: Bench, table: Table, durability: str, shared: bool) -> None:
    broker = bench.start_broker(save_every=1)
    subscriber = bench.subscriber("core_1", {"event": "tick", "options": {"shared": shared}})
    broker.wait_for_save()
    emitter = bench.emitter(rate=300, tasks=4, sections=outbox(durability))
    windows = []
    count = rounds(1, 25)
    for _ in range(count):
        bench.until_handled(50)
        time.sleep(bench.random.uniform(0.2, 1.5))
        windows.append(broker.kill())
        time.sleep(bench.random.uniform(0.0, 3.0 if IS_LONG else 0.5))
        broker.start()
        bench.heal()
    bench.until_handled(50)
    emitter.ask("halt")
    emitter.wait_for("done")
    verdict = bench.oracle().wait(windows=windows if durability == "broker" else (), patience=25)
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    case = f"broker that saves each second, durability={durability}, shared={str(shared).lower()}"
    table.add(SUBJECT, case, verdict, rounds=count)


def test_broker_that_keeps_nothing(bench: Bench, table: Table) -> None:
    """Its sessions are gone each time, and with them what it had acknowledged."""
    broker = bench.start_broker(persistence=False)
    subscriber = bench.subscriber("core_1", {"event": "tick", "work": 0.002})
    emitter = bench.emitter(rate=300, tasks=4, sections=outbox("disk"))
    count = rounds(1, 30)
    for _ in range(count):
        bench.until_handled(50)
        time.sleep(bench.random.uniform(0.2, 1.0))
        broker.kill()
        time.sleep(bench.random.uniform(0.0, 3.0 if IS_LONG else 0.5))
        broker.start()
        bench.heal()
    bench.until_handled(50)
    emitter.ask("halt")
    emitter.wait_for("done")
    verdict = bench.oracle().wait(patience=25)
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    table.add(SUBJECT, "broker without persistence, durability=disk", verdict, rounds=count)


def test_emitter_is_back_before_the_subscriber(bench: Bench, table: Table) -> None:
    """The broker has forgotten the shared subscription, and the subscriber, a moment later, makes it anew."""
    broker = bench.start_broker()
    subscriber = bench.subscriber()
    emitter = bench.emitter(rate=300, tasks=4, sections=outbox("disk"))
    emitter.wait_for("first")
    broker.stop()
    bench.until_confirmed(100)
    emitter.kill()
    subscriber.kill()
    broker.start()
    bench.heal()
    emitter = bench.emitter(count=20, sections=outbox("disk"))
    emitter.wait_for("done")
    time.sleep(1)
    subscriber = bench.subscriber()
    emitter.ask("one")
    verdict = bench.oracle().wait(patience=10)
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    table.add(SUBJECT, "all, and the emitter is back first, durability=disk", verdict)


def test_emitter_and_broker_together(bench: Bench, table: Table) -> None:
    broker = bench.start_broker(save_every=2)
    subscriber = bench.subscriber()
    broker.wait_for_save()
    count = rounds(1, 25)
    for number in range(count):
        emitter = bench.emitter(rate=300, tasks=4, sections=outbox("disk"), backend=backend(number))
        emitter.wait_for("first")
        time.sleep(bench.random.uniform(0.1, 1.0))
        emitter.kill()
        broker.kill()
        broker.start()
        bench.heal()
    last = bench.emitter(sections=outbox("disk"), count=20)
    last.wait_for("done")
    verdict = bench.oracle().wait(patience=25)
    assert (last.finish(), subscriber.finish()) == (0, 0)
    table.add(SUBJECT, "emitter and broker together, durability=disk", verdict, rounds=count)
