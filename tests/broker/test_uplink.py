"""The uplink, in both directions: what arrives is what was sent, once, and nothing else travels."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from purista_fast import App, ConfigError, Context, Event, Service
from tests.broker.helpers import cable, until
from tests.broker.uplinks import Sides, events_of, listener
from tests.mosquitto import Mosquitto, free_port

pytestmark = pytest.mark.anyio
high = Event("alarmHigh", int)
low = Event("alarmLow", int)
noise = Event("noise", int)
config = Event("fleetConfigChanged", dict[str, int])


@pytest.fixture(params=["memory", "mqtt"])
def sides(request: pytest.FixtureRequest, new_broker: Callable[..., Mosquitto], tmp_path: Path) -> Sides:
    """Devices on ``memory://``, and on a broker of their own."""
    local = new_broker(lines=["max_queued_messages 0"]) if request.param == "mqtt" else None
    return Sides(new_broker(lines=["max_queued_messages 0"]), local, tmp_path)


async def test_what_goes_up_is_what_was_emitted(sides: Sides) -> None:
    with sides.peer() as peer:
        async with sides.device(events=["alarm*"]) as device, device.listen(high) as here:
            sent = device.acting(principal_id="ann", tenant_id="plant_1", trace_id="a" * 32)
            await sent.emit(high, 90)
            await sent.emit(noise, 1)
            await sent.emit(low, 3)
            await until(lambda: len(events_of(peer)) == 2)
            original = (await anext(here)).to_dict()
        # Names keep their order each for itself.
        first, second = sorted(events_of(peer), key=lambda body: body["eventName"])
        assert first == original
        assert (first["principalId"], first["tenantId"], first["traceId"]) == ("ann", "plant_1", "a" * 32)
        assert (first["sender"]["instanceId"], first["payload"]) == ("greenhouse_7", 90)
        assert (second["eventName"], second["payload"]) == ("alarmLow", 3)
        (message,) = [found for found in peer.messages if json.loads(found.payload)["id"] == first["id"]]
        levels = message.topic.split("/")
        assert levels[1:5] == ["custom_message", "ann", "plant_1", "greenhouse_7"], "where a broker separates rights"
        assert dict(message.properties.UserProperty)["senderInstanceId"] == "greenhouse_7"  # type: ignore[union-attr]


async def test_a_success_event_goes_up_if_it_is_named(sides: Sides) -> None:
    service = Service("Tank")

    @service.command(success_event=high)
    async def fill(ctx: Context, payload: int) -> int:
        return payload + 1

    @service.command(success_event=noise)
    async def stir(ctx: Context, payload: int) -> int:
        return payload

    for events in (["*High"], ["alarmHigh"]):
        with sides.peer() as peer:
            async with sides.device(service, events=events) as device:
                assert await device.invoke(stir, 5) == 5
                assert await device.invoke(fill, 1) == 2
                await device.emit(high, 7)
                await until(lambda peer=peer: len(events_of(peer)) == 2)  # type: ignore[misc]
                uplink = device.statistics()["uplink"]
            found = {(body["messageType"], body["payload"]) for body in events_of(peer)}
            assert found == {("commandSuccessResponse", 2), ("customMessage", 7)}
            assert uplink["up"]["taken"] == 2
            assert uplink["late_answers"] == 0, "what this device publishes does not come back to it"


async def test_what_comes_down_is_what_was_emitted(sides: Sides) -> None:
    service, seen = Service("Watch"), list[Any]()

    @service.subscription(config)
    async def changed(ctx: Context, payload: dict[str, int]) -> None:
        seen.append(ctx.message.to_dict())

    first = sides.device(service, listen=["fleetConfigChanged"], name="first")
    second = sides.device(service, listen=["fleetConfigChanged"], name="second")
    with sides.peer() as peer:
        async with sides.cloud() as cloud, first as one, second as two:
            sent = cloud.acting(principal_id="ann", tenant_id="plant_1", trace_id="a" * 32)
            await sent.emit(config, {"limit": 5})
            await sent.emit(noise, 1)
            await until(lambda: len(seen) == 2 and len(events_of(peer)) == 2)
            (original,) = [body for body in events_of(peer) if body["eventName"] == "fleetConfigChanged"]
            assert seen == [original, original], "each device gets it, as it is"
            assert original["sender"]["instanceId"] == "cloud"
            # At least once means sometimes twice: a second delivery is recognised by its id.
            (message,) = [found for found in peer.messages if json.loads(found.payload)["id"] == original["id"]]
            peer.publish(message.topic, message.payload)
            await sent.emit(config, {"limit": 6})
            await until(lambda: len(seen) == 4)
            assert [body["payload"]["limit"] for body in seen] == [5, 5, 6, 6]
            for device in (one, two):
                assert device.statistics()["uplink"]["down"] == {"taken": 2, "returned": 0}


async def test_what_comes_down_waits_for_a_device_that_is_away(sides: Sides) -> None:
    service, heard = listener("Watch", "fleetConfigChanged")
    async with sides.cloud() as cloud:
        async with sides.device(service, listen=["fleetConfigChanged"]):
            await cloud.emit(config, {"limit": 1})
            await until(lambda: len(heard) == 1)
        for limit in (2, 3, 4):
            await cloud.emit(config, {"limit": limit})
        async with sides.device(service, listen=["fleetConfigChanged"]):
            await until(lambda: len(heard) == 4)
    assert [payload["limit"] for _, payload in heard] == [1, 2, 3, 4]


async def test_nothing_goes_round_in_circles(sides: Sides) -> None:
    """Two devices share one event in both directions, and the cloud sends everything back."""
    services = {name: listener(name.title(), "alarmHigh") for name in ("first", "second")}
    rules = {"events": ["alarm*"], "listen": ["alarmHigh"]}
    with sides.peer() as peer:
        echoed = set[bytes]()

        def echo(message: Any) -> None:
            peer.messages.append(message)
            if b'"alarmHigh"' in message.payload and message.payload not in echoed:
                echoed.add(message.payload)
                peer.send(message)

        peer.on_message = echo
        async with (
            sides.device(services["first"][0], name="first", **rules) as first,
            sides.device(services["second"][0], name="second", **rules) as second,
        ):
            for number in range(20):
                await first.emit(high, number)
                await second.emit(high, 100 + number)

            def returned() -> list[int]:
                return [device.statistics()["uplink"]["down"]["returned"] for device in (first, second)]

            def sent() -> list[int]:
                return [device.statistics()["uplink"]["up"]["taken"] for device in (first, second)]

            # Each gets its own back from the broker and by the echo: of equal ids once.
            await until(lambda: len(events_of(peer)) >= 80 and min(returned()) >= 20)
            await until(lambda: all(len(heard) == 40 for _, heard in services.values()))
            await first.emit(high, 20)
            await until(lambda: all(len(heard) == 41 for _, heard in services.values()))
            assert sent() == [21, 20]
            # Each from its device, and once from the echo.
            await until(lambda: len(events_of(peer)) >= 82)
        for _, heard in services.values():
            assert Counter(payload for _, payload in heard) == Counter([*range(21), *range(100, 120)])
        assert len(events_of(peer)) == 82


async def test_a_device_starts_and_works_without_the_cloud(sides: Sides) -> None:
    service, heard = listener("Watch", "alarmHigh", "fleetConfigChanged")
    gone = free_port()
    rules: dict[str, Any] = {"events": ["alarmHigh"], "listen": ["fleetConfigChanged"], "commands": ["*"]}
    async with sides.device(service, port=gone, **rules) as device:
        await device.emit(high, 1)
        await until(lambda: heard == [("alarmHigh", 1)])
        await until(lambda: device.statistics()["uplink"]["outbox"]["messages"] == 1)
        assert not device.statistics()["uplink"]["connected"]
    with sides.peer() as peer:
        async with sides.device(service, **rules) as device:
            await until(lambda: len(events_of(peer)) == 1)
            await device.emit(high, 2)
            await until(lambda: len(events_of(peer)) == 2)
        assert [body["payload"] for body in events_of(peer)] == [1, 2]


async def test_a_cloud_that_takes_nothing_slows_nobody(sides: Sides) -> None:
    """The link is there, and silent: local work goes on, and all of it arrives in the end."""
    service, heard = listener("Watch", "alarmHigh", "noise")
    fleet, arrived = listener("Fleet", "alarmHigh")
    async with sides.cloud(fleet):
        with cable(sides.broker.port) as link:
            async with sides.device(service, port=link.port, events=["alarm*"]) as device:
                await until(lambda: device.statistics()["uplink"]["connected"])
                with link.stalled():
                    for number in range(500):
                        await device.emit(high, number)
                        await device.emit(noise, number)
                    await until(lambda: len(heard) >= 1000)
                    assert arrived == []
                await until(lambda: len(arrived) >= 500 and arrived[-1][1] == 499)
    # A link that was silent for too long was given up; then some of it goes twice.
    assert list(dict.fromkeys(payload for _, payload in arrived)) == list(range(500))


def test_the_instance_id_of_a_device_is_made_once(tmp_path: Path) -> None:
    tree = {
        "storage": {"state_dir": str(tmp_path)},
        "uplink": {"url": f"mqtt://127.0.0.1:{free_port()}", "events": ["alarm*"]},
    }

    async def ids() -> tuple[str, str]:
        async with App(name="Device").serve(overrides=tree) as client:
            return client.instance_id, client.statistics()["uplink"]["instance_id"]

    import anyio

    first, second = anyio.run(ids), anyio.run(ids)
    assert first == second
    assert first[0] == first[1]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"url": "mqtt://broker.example"}, "uplink.url 'mqtt://broker.example': mqtt:// sends everything"),
        ({"url": "mqtt://localhost", "instance_id": "a-b"}, "uplink.instance_id 'a-b' cannot be a level of a topic"),
        ({"url": "mqtt://localhost", "ca_file": "x"}, "uplink.ca_file is given, but uplink.url"),
    ],
)
async def test_what_is_wrong_names_the_section(section: dict[str, Any], message: str, tmp_path: Path) -> None:
    tree = {"storage": {"state_dir": str(tmp_path)}, "uplink": {"events": ["a"], **section}}
    with pytest.raises(ConfigError) as caught:
        async with App(name="Device").serve(overrides=tree):
            pytest.fail("it started")
    assert message in str(caught.value)


async def test_wrong_credentials_end_nothing(
    new_broker: Callable[..., Mosquitto], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = new_broker(users={"device": "right"})
    service, heard = listener("Watch", "alarmHigh")
    sides = Sides(broker, None, tmp_path)
    login = {"username": "device", "password": "wrong", "events": ["alarm*"]}
    async with sides.device(service, port=broker.port, **login) as device:
        await until(lambda: "Not authorized" in caplog.text)
        await device.emit(high, 1)
        await until(lambda: heard == [("alarmHigh", 1)])
        await until(lambda: device.statistics()["uplink"]["outbox"]["messages"] == 1)
    assert "wrong" not in caplog.text


async def test_two_devices_of_one_name_go_on_by_themselves(
    new_broker: Callable[..., Mosquitto], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = new_broker()
    one, two = (Sides(broker, None, tmp_path / name) for name in ("one", "two"))
    two.prefix = one.prefix
    services = [listener("Watch", "alarmHigh"), listener("Watch", "alarmHigh")]
    rules = {"events": ["alarm*"], "port": broker.port}
    async with one.device(services[0][0], **rules) as first, two.device(services[1][0], **rules) as second:
        await until(lambda: "another process has connected" in caplog.text)
        for number, device in enumerate((first, second)):
            await device.emit(high, number)
        await until(lambda: [heard for _, heard in services] == [[("alarmHigh", 0)], [("alarmHigh", 1)]])
