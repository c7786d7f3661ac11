"""Links that go down, that are slow and lossy, and that fall silent without a word."""

from __future__ import annotations

import time

import pytest

from tests.faults.lab.bench import Bench
from tests.faults.rounds import IS_LONG, backend, rounds
from tests.faults.settings import outbox
from tests.faults.table import Table

SUBJECT = "link"


@pytest.mark.parametrize("who", ["emitter", "subscriber"])
def test_two_seconds_up_three_down(bench: Bench, table: Table, network_kind: str, who: str) -> None:
    net = bench.link(network_kind)
    bench.start_broker()
    subscriber = bench.subscriber(at_edge=who == "subscriber")
    emitter = bench.emitter(rate=100, tasks=4, at_edge=who == "emitter", backend=backend(who == "emitter"))
    count = rounds(1, 24)
    for _ in range(count):
        time.sleep(2)
        net.down()
        time.sleep(3)
        net.up()
        bench.heal()
    bench.until_handled(50)
    emitter.ask("halt")
    emitter.wait_for("done")
    verdict = bench.oracle().wait()
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    table.add(SUBJECT, f"2 s up, 3 s down, at the {who}", verdict, rounds=count, network=net.kind)


def test_long_delay_and_loss(bench: Bench, table: Table, network_kind: str) -> None:
    net = bench.link(network_kind)
    bench.start_broker()
    subscriber = bench.subscriber()
    net.shape(delay=0.6, loss=0.02)
    count = rounds(100, 5000)
    emitter = bench.emitter(count=count, tasks=50, at_edge=True)
    emitter.wait_for("done", 600)
    emitter.ask("one", patience=60)
    verdict = bench.oracle().wait()
    assert (emitter.finish(60), subscriber.finish()) == (0, 0)
    table.add(SUBJECT, "600 ms each way, 2 % loss each way", verdict, network=net.kind)


def test_silence_while_a_backlog_is_sent(bench: Bench, table: Table, network_kind: str) -> None:
    """Half-open: both ends believe that they are connected, and the packets vanish."""
    net = bench.link(network_kind)
    bench.start_broker()
    subscriber = bench.subscriber()
    count = rounds(1, 6)
    size = 20_000 if IS_LONG else 1_000
    emitter = bench.emitter(at_edge=True, tasks=64, count=None, sections=outbox("disk"), rate=3000 if IS_LONG else 500)
    for number in range(count):
        net.down()
        bench.until_confirmed(size, 120)
        net.up()
        bench.until_handled(100, 60)
        net.blackhole(True)
        time.sleep(9 if number % 2 == 0 else 4)
        net.blackhole(False)
        bench.heal()
        bench.until_handled(size // 2, 120)
    emitter.ask("halt")
    emitter.wait_for("done")
    emitter.ask("one")
    verdict = bench.oracle().wait()
    assert (emitter.finish(60), subscriber.finish()) == (0, 0)
    case = "half-open while a backlog is sent, durability=disk"
    table.add(SUBJECT, case, verdict, rounds=count, network=net.kind)
