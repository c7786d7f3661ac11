"""Events of a device that go through the bridge of its broker, while the link, the cloud or that broker fails."""

from __future__ import annotations

import signal

import pytest

from tests.broker.bridged import DEVICE, pair
from tests.broker.helpers import cable
from tests.faults.lab.bench import Bench, until
from tests.faults.rounds import IS_LONG, rounds
from tests.faults.settings import outbox
from tests.faults.table import Table

SUBJECT = "broker to broker"
LINES = ("autosave_interval 1", "max_inflight_messages 100")


CUT, KILLED = "the cable is cut", "the cloud's broker is killed"
RESTARTS, DIES = "the device's broker restarts", "the device's broker is killed"
SHORT = [(CUT, "", "broker"), (KILLED, RESTARTS, "broker"), (CUT, DIES, "disk")]
LONG = [(KILLED, "", "broker"), (CUT, RESTARTS, "broker"), (KILLED, DIES, "disk")]


@pytest.mark.parametrize(("outage", "middle", "durability"), [*SHORT, *(LONG if IS_LONG else [])])
def test_an_outage_of_5000(
    bench: Bench, table: Table, monkeypatch: pytest.MonkeyPatch, outage: str, middle: str, durability: str
) -> None:
    cloud = bench.start_broker()
    folder = bench.folder / "bridge"
    folder.mkdir()
    count = rounds(5000, 20_000)
    with cable(cloud.port) as wire:
        options = {"instances": ["edge_1"], "instance_id": DEVICE, "events": ["tick"]}
        with pair(folder, monkeypatch, cloud=cloud, port=wire.port, lines=LINES, **options) as link:
            subscriber = bench.subscriber("core_1", {"event": "tick", "options": {"shared": False}})
            cloud.wait_for_save()
            until(lambda: link.is_linked, 30, "the bridge connected")
            sections = {"bridge": {"url": link.local.url}, **outbox(durability)}
            emitter = bench.emitter(tasks=20, count=200, sections=sections)
            emitter.wait_for("done")
            # All of it was handled before the fault: what a killed broker had not saved is another case.
            oracle = bench.oracle()
            until(lambda: oracle.handled == oracle.confirmed, 60, "all handled before the fault")
            assert emitter.finish() == 0
            if outage == CUT:
                wire.cut()
            else:
                cloud.kill()
            emitter = bench.emitter(tasks=20, count=count, sections=sections)
            if middle:
                bench.until_confirmed(count // 2, 60)
                link.local.stop(signal.SIGKILL if middle == DIES else signal.SIGTERM)
                link.local.start()
            emitter.wait_for("done", 90)
            assert oracle.handled == 200, "nothing comes through while the link is down"
            if outage == CUT:
                wire.mend()
            else:
                cloud.start()
            bench.heal()
            assert emitter.finish() == 0
            emitter = bench.emitter(count=1, sections=sections)
            emitter.wait_for("done")
            # What arrives while mosquitto tries to connect overtakes what waits, so that order is told and not judged.
            overtaken = len(bench.oracle().wait().reordered)
            verdict = bench.oracle(ordered=False).judge()
            assert (emitter.finish(), subscriber.finish()) == (0, 0)
    table.add(
        SUBJECT, f"{outage}{f', {middle}' if middle else ''}, {count} events", verdict, note=f"{overtaken} overtaken"
    )
    assert verdict.confirmed == count + 201
