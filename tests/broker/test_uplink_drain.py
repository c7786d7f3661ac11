"""What waits for the cloud: how much, how long, and in which order it goes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from purista_fast import App, Event
from tests.broker.helpers import cable, until
from tests.broker.uplinks import Sides, events_of, listener
from tests.mosquitto import Mosquitto
from tests.patience import patient

pytestmark = pytest.mark.anyio
summary, alarm, detail = Event("summary", int), Event("alarm", int), Event("detail", int)
KEPT = {"outbox": {"hold": 0.5}}


@pytest.fixture(params=["memory", "mqtt"])
def sides(request: pytest.FixtureRequest, new_broker: Callable[..., Mosquitto], tmp_path: Path) -> Sides:
    """Devices on ``memory://``, and on a broker of their own."""
    lines = ["max_queued_messages 0"]
    local = new_broker(lines=lines) if request.param == "mqtt" else None
    return Sides(new_broker(lines=lines), local, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(patient(120))
async def test_an_outage_of_five_thousand_messages(sides: Sides) -> None:
    here, local = listener("Here", "summary")
    fleet, arrived = listener("Fleet", "summary")
    async with sides.cloud(fleet):
        with cable(sides.broker.port) as link:
            async with sides.device(here, port=link.port, events=["summary"], **KEPT) as device:
                await until(lambda: device.statistics()["uplink"]["connected"])
                link.cut()
                for number in range(5000):
                    await device.emit(summary, number)
                await until(lambda: len(local) == 5000)
                await until(lambda: device.statistics()["uplink"]["outbox"]["messages"] == 5000)
                assert arrived == []
                link.mend()
                # Between two attempts to connect half a minute may pass.
                with anyio.fail_after(patient(60)):
                    while len(arrived) < 5000:  # noqa: ASYNC110 - there is no event for it
                        await anyio.sleep(0.05)
                await until(lambda: device.statistics()["uplink"]["outbox"]["messages"] == 0)
                assert device.statistics()["uplink"]["outbox"]["dropped"] == {}
    numbers = list(dict.fromkeys(payload for _, payload in arrived))
    assert numbers == list(range(5000)), "all of them, in order"


async def test_the_urgent_goes_first(sides: Sides) -> None:
    order = {"alarm": {"priority": 10}, "d*": {"priority": -1}}
    with sides.peer() as peer:
        async with sides.device(events=["*"], event=order, port=1, **KEPT) as device:
            for number in range(600):
                await device.emit(detail, number)
                await device.emit(summary, number)
            for number in range(600):
                await device.emit(alarm, number)
            await until(lambda: device.statistics()["uplink"]["outbox"]["messages"] == 1800)
        async with sides.device(events=["*"], event=order, **KEPT) as device:
            await until(lambda: len(events_of(peer)) == 1800)
            await device.emit(detail, 600)
            await device.emit(alarm, 600)
            await until(lambda: len(events_of(peer)) == 1802)
    found = [(body["eventName"], body["payload"]) for body in events_of(peer)]
    expected = [(name, number) for name in ("alarm", "summary", "detail") for number in range(600)]
    assert found[:1800] == expected


async def test_the_urgent_does_not_wait_for_a_backlog(new_broker: Callable[..., Mosquitto], tmp_path: Path) -> None:
    """Two messages at a time leave, so that the backlog is long when something urgent happens."""
    sides = Sides(new_broker(lines=["max_inflight_messages 5", "max_queued_messages 0"]), None, tmp_path)
    rules: dict[str, Any] = {"events": ["*"], "event": {"alarm": {"priority": 10}}, **KEPT}
    with sides.peer() as peer:
        async with sides.device(port=1, **rules) as device:
            for number in range(3000):
                await device.emit(summary, number)
            await until(lambda: device.statistics()["uplink"]["outbox"]["spilled"] == 3000)
        with cable(sides.broker.port) as link:
            async with sides.device(port=link.port, **rules) as device:
                await until(lambda: len(peer.messages) > 10)
                with link.stalled():
                    for number in range(300):
                        await device.emit(alarm, number)
                    await until(lambda: device.statistics()["uplink"]["outbox"]["spilled"] == 300)
                    sent = len(events_of(peer))
                await until(
                    lambda: len(peer.messages) >= 3300 and device.statistics()["uplink"]["outbox"]["messages"] == 0
                )
    assert len({(body["eventName"], body["payload"]) for body in events_of(peer)}) == 3300
    later = [body["eventName"] for body in events_of(peer)][sent + 100 :]
    assert sent < 2500, "there was still a backlog"
    assert later[:100] == ["alarm"] * 100
    alarms = [body["payload"] for body in events_of(peer) if body["eventName"] == "alarm"]
    assert list(dict.fromkeys(alarms)) == list(range(300))


async def test_what_is_not_worth_sending_any_more_is_dropped(sides: Sides) -> None:
    rules: dict[str, Any] = {"events": ["*"], "event": {"detail": {"ttl": 0.3}, "alarm": {"ttl": 60.0}}}
    with sides.peer() as peer:
        async with sides.device(port=1, **rules, **KEPT) as device:
            for number in range(5):
                await device.emit(detail, number)
            await device.emit(alarm, 1)
            await device.emit(summary, 1)
            await until(lambda: device.statistics()["uplink"]["outbox"]["messages"] == 7)
            stored = time.monotonic()
        await until(lambda: time.monotonic() > stored + 0.3)
        async with sides.device(**rules, **KEPT) as device:
            await until(lambda: len(events_of(peer)) == 2)
            await until(lambda: device.statistics()["uplink"]["outbox"]["dropped"] == {"too old": 5})
        expiry = {
            json.loads(found.payload)["eventName"]: found.properties.MessageExpiryInterval  # type: ignore[union-attr]
            for found in peer.messages
            if "eventName" in json.loads(found.payload)
        }
    assert expiry["alarm"] <= 60, "the broker is told as well"
    assert expiry["summary"] > 86400
    assert "detail" not in expiry


@pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])
async def test_where_there_is_no_room_local_work_goes_on(sides: Sides, overflow: str) -> None:
    here, local = listener("Here", "summary")
    limits = {"outbox": {"hold": 0.5, "max_messages": 100, "overflow": overflow}}
    with sides.peer() as peer:
        async with sides.device(here, events=["summary"], port=1, **limits) as device:
            for number in range(300):
                await device.emit(summary, number)
            await until(lambda: len(local) == 300)
            await until(lambda: device.statistics()["uplink"]["outbox"]["dropped"] == {"full": 200})
            assert device.health().uplink.drops == {"outbox: full": 200}  # type: ignore[union-attr]
        async with sides.device(here, events=["summary"], **limits):
            await until(lambda: len(events_of(peer)) == 100)
    expected = range(200, 300) if overflow == "drop_oldest" else range(100)
    assert [body["payload"] for body in events_of(peer)] == list(expected)


async def test_a_device_that_is_retired_sends_up_what_waits(
    new_broker: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    sides = Sides(new_broker(), new_broker(), tmp_path)
    with sides.peer() as peer:
        async with sides.device(events=["summary"], **KEPT) as device:
            for number in range(300):
                await device.emit(summary, number)
        tree = sides.tree("greenhouse_7", events=["summary"], **KEPT)
        outcome = await App(name="Device").retire(overrides=tree, quiet=0.5, timeout=patient(15))
        assert outcome.is_done
        await until(lambda: len({body["payload"] for body in events_of(peer)}) == 300)
