"""What waits in the outbox or in the broker, and who gets it in the end."""

from __future__ import annotations

import time

import pytest

from tests.faults import peers
from tests.faults.lab.bench import Bench, until
from tests.faults.rounds import IS_LONG, rounds
from tests.faults.settings import outbox
from tests.faults.table import Table

SUBJECT = "backlog"


@pytest.mark.parametrize("durability", ["broker", "disk"])
def test_an_outbox_drains_beside_live_events(bench: Bench, table: Table, durability: str) -> None:
    """100,000 of 256 bytes in the long form. Rate and latency are reported, not judged: machines differ."""
    broker = bench.start_broker()
    subscriber = bench.subscriber("core_1")
    other = bench.subscriber("core_2", {"event": "live"}, service="Live")
    size = 100_000 if IS_LONG else 3_000
    sections = outbox(durability, max_messages=200_000, max_bytes=256 * 1024 * 1024)
    emitter = bench.emitter(tasks=100, sections=sections, size=256, count=None, wait=True)
    emitter.wait_for("first")
    broker.stop()
    bench.until_confirmed(size, 600)
    emitter.ask("halt")
    emitter.wait_for("done", 60)
    waiting = emitter.ask("statistics")["outbox"]["messages"]
    oracle = bench.oracle()
    handled = oracle.handled
    broker.start()
    bench.heal()
    # From here on all ends are connected again: what is measured is the drain, not the wait before it.
    until(lambda: other.ask("statistics")["connected"], 60, "the other subscriber connected")
    until(lambda: oracle.handled > handled, 60, "the drain begun")
    began, handled = time.monotonic(), oracle.handled
    emitter.ask("live", 50)
    until(lambda: oracle.handled_of("tick") >= oracle.confirmed_of("tick"), 600, "the backlog handled")
    rate = (oracle.handled - handled) / (time.monotonic() - began)
    emitter.ask("halt")
    verdict = oracle.wait()
    live = oracle.latencies("live")
    p99 = f"{live[int(len(live) * 0.99)] * 1000:.0f} ms" if live else "none"
    note = f"{waiting} in the outbox, {rate:.0f}/s, live p99 {p99} of {len(live)}"
    assert (emitter.finish(60), subscriber.finish(), other.finish()) == (0, 0, 0)
    table.add(SUBJECT, f"{size} x 256 bytes drain, durability={durability}", verdict, note=note)


def test_it_waits_in_the_broker_before_the_application_starts(bench: Bench, table: Table) -> None:
    bench.start_broker()
    count = rounds(2, 30)
    for _ in range(count):
        assert bench.subscriber("core_1").finish() == 0
        emitter = bench.emitter(tasks=20, count=1500)
        emitter.wait_for("done")
        assert emitter.finish() == 0
        bench.heal()
        subscriber = bench.subscriber("core_1")
        oracle = bench.oracle()
        until(lambda oracle=oracle: oracle.handled == oracle.confirmed, 60, "the backlog handled")
        assert subscriber.finish() == 0
    subscriber = bench.subscriber("core_1")
    emitter = bench.emitter(count=1)
    emitter.wait_for("done")
    verdict = bench.oracle().wait()
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    others = peers.compare(peers.backlog_before_subscribe, bench.folder / "peers", 1500)
    case = "in the broker before the application starts"
    table.add(SUBJECT, case, verdict, rounds=count, peers=others)


def test_it_waits_while_the_set_of_subscriptions_changes(bench: Bench, table: Table) -> None:
    """``tick`` keeps its handler, ``tock`` gets another one, ``gone`` has none any more, ``extra`` is new."""
    bench.start_broker()
    before = [{"event": "tick"}, {"event": "tock", "name": "old"}, {"event": "gone", "name": "gone"}]
    after = [{"event": "extra", "name": "extra"}, {"event": "tock", "name": "old"}, {"event": "tick"}]
    assert bench.subscriber("core_1", *before).finish() == 0
    emitter = bench.emitter(tasks=8, count=300, events={"tick": {}, "tock": {}, "gone": {}})
    emitter.wait_for("done")
    assert emitter.finish() == 0
    bench.heal()
    subscriber = bench.subscriber("core_1", *after)
    oracle = bench.oracle()
    gone = {key for key in oracle.all_confirmed() if key[1] == "gone"}
    assert len(gone) == 100
    emitter = bench.emitter(count=2, events={"extra": {}, "tick": {}})
    emitter.wait_for("done")
    verdict = oracle.wait(excused=gone)
    until(lambda: subscriber.ask("statistics")["dead_letters"]["messages"] == len(gone), 20, "dead letters")
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    table.add(SUBJECT, "the set of subscriptions changes", verdict, note="100 dead letters of one without handler")


def test_two_instances_share_it(bench: Bench, table: Table) -> None:
    bench.start_broker()
    for name in ("core_1", "core_2"):
        assert bench.subscriber(name).finish() == 0
    emitter = bench.emitter(tasks=8, count=rounds(400, 20_000))
    emitter.wait_for("done", 120)
    bench.heal()
    both = [bench.subscriber(name) for name in ("core_1", "core_2")]
    emitter.ask("one")
    verdict = bench.oracle().wait()
    shares = [bench.log_of(name) for name in ("core_1", "core_2")]
    assert [emitter.finish(), *(each.finish() for each in both)] == [0, 0, 0], shares
    assert verdict.duplicates == 0
    table.add(SUBJECT, "two instances share it", verdict)


def test_one_of_two_stays_away(bench: Bench, table: Table) -> None:
    """Its share waits for it, and for nobody else; what comes while it is there is shared again."""
    bench.start_broker()
    for name in ("core_1", "core_2"):
        assert bench.subscriber(name).finish() == 0
    emitter = bench.emitter(tasks=8, count=400)
    emitter.wait_for("done")
    there = bench.subscriber("core_1")
    oracle = bench.oracle()
    until(lambda: oracle.handled, 20, "a first one handled")
    oracle.settle(quiet=2)
    waiting = oracle.confirmed - oracle.handled
    bench.heal()
    late = bench.subscriber("core_2")
    emitter.ask("one")
    verdict = oracle.wait()
    assert (emitter.finish(), there.finish(), late.finish()) == (0, 0, 0)
    note = f"{waiting} waited for the one that was away"
    table.add(SUBJECT, "one of two instances stays away", verdict, note=note)
