"""Wall clocks that jump, and processes that stand still."""

from __future__ import annotations

import signal
import time

import pytest

from tests.faults.lab.bench import Bench
from tests.faults.lab.shims import FakeClock
from tests.faults.rounds import backend, rounds
from tests.faults.settings import outbox
from tests.faults.table import Table

SUBJECT = "clock"
TEN_YEARS = 10 * 365.25 * 86400


@pytest.mark.parametrize("trust", ["auto", "never"])
def test_jumps_while_messages_wait(bench: Bench, table: Table, trust: str) -> None:
    """To 1970, to ten years from now, and back, with restarts in between: nothing expires, nothing is kept for ever."""
    broker = bench.start_broker()
    subscriber = bench.subscriber()
    clock = FakeClock(bench.folder)
    jumps = [-time.time() + 3600, TEN_YEARS, 0.0]
    count = rounds(1, 20)
    sections = outbox("disk", trust_clock=trust)
    for number in range(count):
        options = {"environment": clock.environment, "backend": backend(number), "sections": sections}
        emitter = bench.emitter(tasks=4, rate=100, **options)
        emitter.wait_for("first")
        broker.stop()
        for jump in jumps:
            clock.jump(jump)
            bench.until_confirmed(20)
            if number % 2 == 0:
                emitter.kill()
                emitter = bench.emitter(tasks=4, rate=100, wait=False, **wait_for_no_broker(options))
                emitter.wait_for("ready")
        broker.start()
        bench.heal()
        bench.until_handled(50)
        emitter.ask("halt")
        emitter.wait_for("done")
        oracle = bench.oracle()
        oracle.wait()
        assert emitter.finish() == 0
    emitter = bench.emitter(count=5, sections=sections)
    emitter.wait_for("done")
    verdict = bench.oracle().wait()
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    case = f"to 1970, +10 years and back while messages wait, trust_clock={trust}"
    table.add(SUBJECT, case, verdict, rounds=count)


def test_a_clock_that_is_trusted(bench: Bench, table: Table) -> None:
    """The operator says that the clock is right: after ten years of it, messages have expired, and are counted."""
    broker = bench.start_broker()
    subscriber = bench.subscriber()
    clock = FakeClock(bench.folder)
    sections = outbox("disk", trust_clock="always")
    emitter = bench.emitter(tasks=1, rate=200, count=30, environment=clock.environment, sections=sections)
    broker.stop()
    emitter.wait_for("done")
    before = bench.oracle().all_confirmed()
    clock.jump(TEN_YEARS)
    broker.start()
    bench.heal()
    emitter.ask("one")
    oracle = bench.oracle()
    verdict = oracle.wait(excused=before)
    counted = emitter.ask("statistics")["outbox"]["dropped"].get("too old", 0)
    assert counted + oracle.handled - 1 >= len(before), "each that is missing is counted"
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    note = f"{counted} expired, counted"
    table.add(SUBJECT, "+10 years, trust_clock=always", verdict, note=note)


def test_the_subscriber_s_clock_jumps(bench: Bench, table: Table) -> None:
    bench.start_broker()
    clock = FakeClock(bench.folder)
    options = {"options": {"retry": {"attempts": 6, "base": 0.2, "maximum": 0.5}}, "fail_first": 2, "every": 3}
    subscriber = bench.subscriber("core_1", {"event": "tick", **options}, environment=clock.environment)
    emitter = bench.emitter(tasks=2, rate=100)
    for jump in (-time.time() + 3600, TEN_YEARS, 0.0):
        clock.jump(jump)
        bench.until_handled(50)
    bench.heal()
    bench.until_handled(20)
    emitter.ask("halt")
    emitter.wait_for("done")
    verdict = bench.oracle().wait()
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    table.add(SUBJECT, "the subscriber's, with retries under way", verdict)


@pytest.mark.parametrize("who", ["application", "broker"])
def test_stands_still_for_longer_than_the_keep_alive(bench: Bench, table: Table, who: str) -> None:
    """SIGSTOP for 9 s at a keep-alive of 5 s; of the application: emitter and subscriber."""
    broker = bench.start_broker()
    subscriber = bench.subscriber()
    emitter = bench.emitter(tasks=4, rate=100)
    count = rounds(1, 6)
    for _ in range(count):
        bench.until_handled(20)
        if who == "broker":
            broker.freeze()
            time.sleep(9)
            broker.thaw()
        else:
            for program in (emitter, subscriber):
                program.signal(signal.SIGSTOP)
            time.sleep(9)
            for program in (emitter, subscriber):
                program.signal(signal.SIGCONT)
        bench.heal()
    bench.until_handled(50)
    emitter.ask("halt")
    emitter.wait_for("done")
    verdict = bench.oracle().wait()
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    table.add(SUBJECT, f"SIGSTOP of the {who} for longer than the keep-alive", verdict, rounds=count)


def wait_for_no_broker(options: dict[str, object]) -> dict[str, object]:
    """The same, for a start while the broker is away."""
    sections = dict(options["sections"])  # type: ignore[call-overload]
    return {**options, "sections": {**sections, "bridge": {"wait_for_broker": False}}}
