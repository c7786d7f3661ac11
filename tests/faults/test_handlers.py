"""Handlers that fail, that take too long, and messages that kill whoever handles them."""

from __future__ import annotations

import time

from tests.faults import peers
from tests.faults.lab.bench import Bench, until
from tests.faults.rounds import rounds
from tests.faults.settings import QUICK_RETRY
from tests.faults.table import Table

SUBJECT = "handlers"


def test_a_handler_that_fails_at_first(bench: Bench, table: Table) -> None:
    bench.start_broker()
    failing = {"event": "tick", "options": QUICK_RETRY, "fail_first": 2, "every": 5}
    subscriber = bench.subscriber("core_1", failing)
    count = rounds(200, 5000)
    emitter = bench.emitter(rate=400, count=count)
    emitter.wait_for("done")
    verdict = bench.oracle().wait()
    assert subscriber.ask("statistics")["dead_letters"]["messages"] == 0
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    note = "each fifth message fails twice"
    others = peers.compare(peers.handler_failing, bench.folder / "peers", count)
    case = "a handler that fails at first"
    table.add(SUBJECT, case, verdict, rounds=count // 5, note=note, peers=others)


def test_a_handler_that_always_fails_for_some(bench: Bench, table: Table) -> None:
    """They end as dead letters, all others pass."""
    bench.start_broker()
    bad = [3, 50, 51, 99]
    subscriber = bench.subscriber("core_1", {"event": "tick", "options": QUICK_RETRY, "fail": bad})
    emitter = bench.emitter(rate=400, count=150)
    emitter.wait_for("done")
    dead = {("edge_1", "tick", number) for number in bad}
    oracle = bench.oracle()
    verdict = oracle.wait(excused=dead)
    until(lambda: subscriber.ask("statistics")["dead_letters"]["messages"] == len(bad), 20, "dead letters")
    assert [oracle.attempts(key) for key in sorted(dead)] == [4] * len(bad)
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    table.add(SUBJECT, "a handler that always fails for 4 of 150", verdict, note="4 dead letters")


def test_a_message_that_kills_the_process(bench: Bench, table: Table) -> None:
    """It is tried as often as any other, and then it is a dead letter."""
    bench.start_broker()
    deadly = {"event": "tick", "options": QUICK_RETRY, "die": [10]}
    subscriber = bench.subscriber("core_1", deadly)
    emitter = bench.emitter(rate=100, count=60)
    emitter.wait_for("done")
    excused = {("edge_1", "tick", 10)}
    lives = 1
    oracle = bench.oracle()

    def is_buried() -> bool:
        nonlocal subscriber, lives
        if subscriber.exit_code is not None:
            subscriber.wait()
            lives += 1
            assert lives < 10, "it is killed for ever"
            bench.heal()
            subscriber = bench.subscriber("core_1", deadly, wait=False)
        try:
            return bool(subscriber.ask("statistics", patience=5)["dead_letters"]["messages"] == 1)
        except (AssertionError, BrokenPipeError):
            return False  # it was killed meanwhile

    until(is_buried, 60, "a dead letter")
    emitter.ask("one")
    verdict = oracle.wait(excused=excused)
    assert oracle.attempts(("edge_1", "tick", 10)) <= 5
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    table.add(SUBJECT, "a message that kills the process", verdict, rounds=lives, note="1 dead letter")


def test_a_slow_handler_holds_nobody_up(bench: Bench, table: Table) -> None:
    """With one message under way at a time, the others would wait for its end."""
    bench.start_broker()
    slow = {"event": "slow", "name": "slow", "work": 8.0}
    quick = {"event": "quick", "name": "quick"}
    sections = {"bridge": {"receive_maximum": 1}, "retries": {"ack_within": 0.5}}
    subscriber = bench.subscriber("core_1", slow, quick, sections=sections)
    emitter = bench.emitter(rate=50, count=31, events={"slow": {}, "quick": {}})
    emitter.wait_for("done")
    oracle = bench.oracle()
    quick_ones = [key for key in oracle.all_confirmed() if key[1] == "quick"]
    began = time.monotonic()
    until(lambda: len(oracle.latencies("quick")) == len(quick_ones), 30, "the quick ones")
    took = time.monotonic() - began
    # Sixteen slow ones of 8 s each stand between them.
    assert took < 16, f"the quick ones waited for the slow ones: {took:.1f} s"
    subscriber.kill()
    bench.heal()
    subscriber = bench.subscriber("core_1", {"event": "slow", "name": "slow"}, quick)
    emitter.ask("one")
    verdict = oracle.wait()
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    table.add(SUBJECT, "a slow handler before quick ones, receive maximum 1", verdict, note=f"{took:.1f} s")
