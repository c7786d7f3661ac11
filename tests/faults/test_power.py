"""Power cuts: what was written and not synced is gone, in the emitter's and in the broker's files."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.faults.lab.bench import Bench, until
from tests.faults.lab.power import Names, Power
from tests.faults.rounds import backend, rounds
from tests.faults.settings import QUICK_RETRY, outbox
from tests.faults.table import Table

SUBJECT = "power cut"
NAMES: tuple[Names, ...] = ("strict", "journal", "current")
ON_DISK = outbox("disk")


def test_emitter(bench: Bench, table: Table, tmp_path: Path) -> None:
    """The broker is away: all that is confirmed is on the emitter's disk alone."""
    broker = bench.start_broker()
    subscriber = bench.subscriber()
    power = Power(bench.state_of("edge_1"), tmp_path / "shadow")
    count = rounds(2, 60)
    for number in range(count):
        options = {"tasks": 4, "rate": 200, "backend": backend(number)}
        emitter = bench.emitter(**options, sections=ON_DISK, environment=power.environment)
        emitter.wait_for("first")
        broker.stop()
        time.sleep(bench.random.uniform(0.1, 0.8))
        emitter.kill()
        power.cut(names=NAMES[number % 3], seed=None if number % 2 else number)
        broker.start()
        until(lambda: subscriber.ask("statistics")["connected"], 30, "the subscriber is back")
        bench.heal()
    last = bench.emitter(sections=ON_DISK, count=20, environment=power.environment)
    last.wait_for("done")
    verdict = bench.oracle().wait()
    assert (last.finish(), subscriber.finish()) == (0, 0)
    table.add(SUBJECT, "emitter, broker away, durability=disk", verdict, rounds=count)


@pytest.mark.parametrize("durability", ["broker", "disk"])
def test_emitter_and_broker(bench: Bench, table: Table, tmp_path: Path, durability: str) -> None:
    disks = [Power(bench.state_of("edge_1"), tmp_path / "edge"), Power(bench.broker_folder, tmp_path / "core")]
    broker = bench.start_broker(save_every=1, environment=disks[1].environment)
    subscriber = bench.subscriber()
    windows = []
    count = rounds(2, 60)
    for number in range(count):
        options = {"tasks": 4, "rate": 200, "backend": backend(number)}
        emitter = bench.emitter(**options, sections=outbox(durability), environment=disks[0].environment)
        emitter.wait_for("first")
        if number == 0:
            broker.wait_for_save()
            broker.wait_for_save()
        time.sleep(bench.random.uniform(0.3, 1.5))
        emitter.kill()
        _, killed = broker.kill()
        for disk in disks:
            disk.cut(names=NAMES[1 + number % 2], seed=None if number % 2 else number)
        # What the broker has now is what the cut left to it, and as old as that.
        windows.append((broker.last_save(), killed))
        broker.start()
        bench.heal()
    last = bench.emitter(sections=outbox(durability), count=20, environment=disks[0].environment)
    last.wait_for("done")
    verdict = bench.oracle().wait(windows=windows if durability == "broker" else (), patience=25)
    assert (last.finish(), subscriber.finish()) == (0, 0)
    table.add(SUBJECT, f"emitter and broker, durability={durability}", verdict, rounds=count)


def test_subscriber_with_messages_to_retry(bench: Bench, table: Table, tmp_path: Path) -> None:
    """What the broker has an acknowledgement for is on the subscriber's disk alone."""
    bench.start_broker()
    power = Power(bench.state_of("core_1"), tmp_path / "shadow")
    retry = {"retry": {**QUICK_RETRY["retry"], "attempts": 20}}
    failing = {"event": "tick", "options": retry, "fail_first": 3, "every": 2}
    count = rounds(2, 40)
    for number in range(count):
        options = {"environment": power.environment, "backend": backend(number)}
        subscriber = bench.subscriber("core_1", failing, **options)
        emitter = bench.emitter(rate=200, count=60)
        emitter.wait_for("first")
        time.sleep(bench.random.uniform(0.1, 0.6))
        subscriber.kill()
        power.cut(names=NAMES[number % 3], seed=None if number % 2 else number)
        bench.heal()
        emitter.wait_for("done")
        assert emitter.finish() == 0
    subscriber = bench.subscriber("core_1", {"event": "tick", "options": retry}, environment=power.environment)
    emitter = bench.emitter(count=20)
    emitter.wait_for("done")
    # The retries of messages that the cut brought back leave the order, as all retries do.
    verdict = bench.oracle(ordered=False).wait()
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    table.add(SUBJECT, "subscriber with messages to retry", verdict, rounds=count)
