"""The uplink: kill -9 of the device, of its broker, of the broker in the cloud, while the link comes and goes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.lab.bench import Bench, until
from tests.faults.lab.broker import FaultyBroker
from tests.faults.lab.processes import Program
from tests.faults.rounds import IS_LONG, backend, rounds
from tests.faults.settings import outbox
from tests.faults.table import Table

SUBJECT = "uplink"
_BEFORE = 1.0
"""On ``memory://`` what was emitted within so many seconds before the end of the process may be lost."""


class Device:
    """A device whose events go up to the broker of a case."""

    def __init__(self, bench: Bench, local: FaultyBroker | None) -> None:
        self.bench = bench
        self.local = local

    def sections(self, **more: Any) -> dict[str, Any]:
        """Its settings."""
        url = "memory://" if self.local is None else self.local.url
        uplink = {"url": self.bench.broker.url, "insecure": True, "keep_alive": 5, "events": ["tick"], **more}
        kept = {"outbox": {"hold": 5.0, "max_messages": 1_000_000}}
        return {"bridge": {"url": url}, "uplink": {**kept, **uplink}, **outbox("broker")}

    def emitter(self, **options: Any) -> Program:
        return self.bench.emitter(sections=self.sections(), **options)


@pytest.fixture(params=["memory", "mqtt"])
def device(request: pytest.FixtureRequest, bench: Bench) -> Iterator[Device]:
    """A device on ``memory://``, and on a broker of its own."""
    bench.start_broker()
    if request.param == "memory":
        yield Device(bench, None)
        return
    folder = bench.folder / "local-broker"
    folder.mkdir()
    local = FaultyBroker(folder)
    local.start()
    try:
        yield Device(bench, local)
    finally:
        local.stop()


def kind(device: Device) -> str:
    return "memory://" if device.local is None else "mqtt://"


def kill(program: Program) -> tuple[float, float]:
    """Kills a process; when what was emitted may be lost: nothing of the next process, however soon it comes."""
    began = time.time()
    program.kill()
    return began - _BEFORE, time.time()


def went_up(emitter: Program) -> bool:
    """Whether nothing waits on the device any more."""
    uplink = emitter.ask("statistics")["uplink"]
    return bool(uplink["connected"] and uplink["outbox"]["messages"] == 0)


def test_device_is_killed(bench: Bench, table: Table, device: Device) -> None:
    subscriber = bench.subscriber()
    count = rounds(2, 100)
    windows = []
    for number in range(count):
        emitter = device.emitter(rate=300, backend=backend(number))
        emitter.wait_for("first")
        time.sleep(bench.random.uniform(0.3, 1.5))
        window = kill(emitter)
        if device.local is None:
            windows.append(window)
        bench.heal()
    last = device.emitter(count=20)
    last.wait_for("done")
    verdict = bench.oracle().wait(windows=windows)
    until(lambda: went_up(last), 60.0, "all went up")
    assert (last.finish(), subscriber.finish()) == (0, 0)
    table.add(SUBJECT, f"device on {kind(device)} is killed", verdict, rounds=count)


def test_cloud_is_killed(bench: Bench, table: Table, device: Device) -> None:
    subscriber = bench.subscriber("core_1", {"event": "tick", "options": {"shared": False}})
    bench.broker.wait_for_save()
    emitter = device.emitter(rate=300)
    count = rounds(2, 25)
    for _ in range(count):
        bench.until_handled(50)
        time.sleep(bench.random.uniform(0.2, 1.5))
        bench.broker.kill()
        time.sleep(bench.random.uniform(0.0, 3.0 if IS_LONG else 0.5))
        bench.broker.start()
        bench.heal()
    bench.until_handled(50)
    emitter.ask("halt")
    emitter.wait_for("done")
    verdict = bench.oracle().wait(patience=25)
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    table.add(SUBJECT, f"broker in the cloud is killed, device on {kind(device)}", verdict, rounds=count)


def test_own_broker_is_killed(bench: Bench, table: Table) -> None:
    bench.start_broker()
    folder = bench.folder / "local-broker"
    folder.mkdir()
    local = FaultyBroker(folder)
    local.start()
    try:
        device = Device(bench, local)
        subscriber = bench.subscriber()
        sections = {**device.sections(), **outbox("disk", hold=5.0)}
        emitter = bench.emitter(rate=300, sections=sections)
        emitter.wait_for("first")
        count = rounds(2, 25)
        for _ in range(count):
            bench.until_handled(50)
            time.sleep(bench.random.uniform(0.2, 1.5))
            local.kill()
            time.sleep(bench.random.uniform(0.0, 3.0 if IS_LONG else 0.5))
            local.start()
            bench.heal()
        bench.until_handled(50)
        emitter.ask("halt")
        emitter.wait_for("done")
        verdict = bench.oracle().wait(patience=25)
        assert (emitter.finish(), subscriber.finish()) == (0, 0)
    finally:
        local.stop()
    table.add(SUBJECT, "broker of the device is killed, durability=disk", verdict, rounds=count)


def test_device_is_killed_while_the_cloud_is_away(bench: Bench, table: Table, device: Device) -> None:
    """An outage of 5,000 messages, with the device's end in the middle and another one while it catches up."""
    subscriber = bench.subscriber()
    emitter = device.emitter(count=2500)
    emitter.wait_for("first")
    bench.broker.stop()
    emitter.wait_for("done")
    until(lambda: emitter.ask("statistics")["uplink"]["outbox"]["spilled"] == 2500, what="all of it on disk")
    windows = []
    for more in (2500, 1):
        windows.append(kill(emitter))
        emitter = device.emitter(count=more)
        emitter.wait_for("done")
        if more > 1:
            bench.broker.start()
            bench.heal()
            bench.until_handled(100)
    verdict = bench.oracle().wait(windows=windows if device.local is None else ())
    until(lambda: went_up(emitter), 60.0, "all went up")
    assert (emitter.finish(), subscriber.finish()) == (0, 0)
    table.add(SUBJECT, f"device on {kind(device)} is killed in an outage of 5,000 messages", verdict, rounds=2)


def test_what_comes_down_outlives_the_device(bench: Bench, table: Table, device: Device) -> None:
    """What the device has acknowledged is with its own broker; on ``memory://`` with its handlers."""
    if device.local is not None:
        inner = bench.subscriber("edge_2", sections={"bridge": {"url": device.local.url}})
    count = rounds(2, 50)
    own = {"events": [], "listen": ["tick"]}

    def start(number: int) -> Program:
        sections = device.sections(**own)
        return bench.subscriber(
            "edge_1",
            {"event": "tick" if device.local is None else "unused"},
            backend=backend(number),
            sections=sections,
            service="Device",
        )

    gateway = start(0)
    until(lambda: gateway.ask("statistics")["uplink"]["connected"], what="a connection")
    emitter = bench.emitter("core_1", rate=200)
    windows = []
    for number in range(count):
        bench.until_handled(50)
        windows.append(kill(gateway))
        gateway = start(number + 1)
        bench.heal()
    bench.until_handled(50)
    emitter.ask("halt")
    emitter.wait_for("done")
    verdict = bench.oracle(ordered=False).wait(windows=windows if device.local is None else ())
    assert (emitter.finish(), gateway.finish()) == (0, 0)
    if device.local is not None:
        assert inner.finish() == 0
    table.add(SUBJECT, f"what comes down to {kind(device)}, the device is killed", verdict, rounds=count)
