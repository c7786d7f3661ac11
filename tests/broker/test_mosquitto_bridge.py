"""The broker's bridge between two mosquittos: what arrives is what the uplink of an application brings, and no more."""

from __future__ import annotations

import importlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import paho.mqtt.client as paho
import pytest

from purista_fast import App, Client, Context, Event, Service
from tests.broker.bridged import DEVICE, KEEPS_INBOUND, Pair, pair, run_in
from tests.broker.helpers import Peer, cable, until
from tests.mosquitto import Mosquitto

pytestmark = pytest.mark.anyio

high, noise, config = Event("alarmHigh", Any), Event("noise", Any), Event("fleetConfigChanged", Any)
FORCE = () if KEEPS_INBOUND else ("--force-inbound",)
Brokers = Callable[..., Mosquitto]


def tree(link: Pair, state: Path, name: str = DEVICE, **more: Any) -> dict[str, Any]:
    bridge = {**link.local.bridge, "instance_id": name, "local_commands": "broker"}
    return {"bridge": bridge, "storage": {"state_dir": str(state / name)}, **more}


@asynccontextmanager
async def device(link: Pair, state: Path, *services: Service, name: str = DEVICE, **more: Any) -> AsyncIterator[Client]:
    """An application on the broker of the device."""
    async with App(*services, name="Device").serve(overrides=tree(link, state, name, **more)) as client:
        await until(lambda: link.is_linked)
        yield client


@asynccontextmanager
async def in_cloud(broker: Mosquitto, state: Path, *services: Service, **more: Any) -> AsyncIterator[Client]:
    """An application on the other broker."""
    bridge = {**broker.bridge, "instance_id": "cloud", **more}
    overrides = {"bridge": bridge, "storage": {"state_dir": str(state / "cloud")}}
    async with App(*services, name="Cloud").serve(overrides=overrides) as client:
        yield client


def of_event(peer: Peer, name: str, prefix: str = "") -> list[paho.MQTTMessage]:
    found = [message for message in list(peer.messages) if message.topic.startswith(prefix)]
    return [message for message in found if json.loads(message.payload).get("eventName") == name]


def properties(message: paho.MQTTMessage) -> dict[str, Any]:
    made = message.properties
    assert made is not None
    return {name: value for name, value in made.json().items() if name != "SubscriptionIdentifier"}


async def test_what_arrives_is_the_same_either_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_broker: Brokers
) -> None:
    """One application whose events go both ways: by its own uplink, and by the bridge of its broker."""
    service = Service("Tank")

    @service.command(success_event=high)
    async def fill(ctx: Context, payload: int) -> int:
        return payload + 1

    cloud = new_broker()
    peer = Peer(cloud)
    own = {"enabled": True, "url": cloud.url, "prefix": "own", "instance_id": "by_uplink", "events": ["alarmHigh"]}
    with pair(tmp_path, monkeypatch, cloud=cloud, prefix="bridged", events=["alarmHigh"]) as link:
        peer.subscribe("#")
        async with device(link, tmp_path, service, uplink=own) as client:
            await until(lambda: client.statistics()["uplink"]["connected"])
            acting = client.acting(principal_id="ann", tenant_id="plant_1", trace_id="a" * 32)
            for payload in (1, "ä", {"deep": [None, 1.5]}, "x" * 100_000):
                await acting.emit(high, payload)
                await acting.emit(noise, payload)
            assert await acting.invoke(fill, 1) == 2
            await until(lambda: len(of_event(peer, "alarmHigh")) == 10)
            mine, theirs = (of_event(peer, "alarmHigh", f"{prefix}/") for prefix in ("own", "bridged"))
    peer.close()
    assert of_event(peer, "noise") == []
    assert len(mine) == len(theirs) == 5
    by_payload = {message.payload: message for message in theirs}
    for message in mine:
        other = by_payload[message.payload]
        assert message.topic.removeprefix("own/") == other.topic.removeprefix("bridged/")
        assert (message.qos, message.retain) == (other.qos, other.retain)
        here, there = properties(message), properties(other)
        # Whole seconds that a broker has kept it, and those of two brokers.
        assert abs(here.pop("MessageExpiryInterval") - there.pop("MessageExpiryInterval")) <= 1
        assert here == there
        assert here["ContentType"] == "application/json"


async def test_only_what_this_device_says_goes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_broker: Brokers
) -> None:
    cloud = new_broker()
    peer = Peer(cloud)
    peer.subscribe("#")
    with pair(tmp_path, monkeypatch, cloud=cloud, events=["alarmHigh"], instances=[DEVICE, "cellar"]) as link:
        async with (
            device(link, tmp_path) as first,
            device(link, tmp_path, name="cellar") as second,
            device(link, tmp_path, name="stranger") as third,
        ):
            for number, client in enumerate((third, first, second)):
                await client.emit(high, number)
            await until(lambda: len(peer.messages) == 2)
            await third.emit(high, 4)
            await first.emit(high, 5)
            await until(lambda: len(peer.messages) == 3)
    peer.close()
    assert sorted((body["sender"]["instanceId"], body["payload"]) for body in peer.bodies) == [
        ("cellar", 2),
        (DEVICE, 1),
        (DEVICE, 5),
    ]


async def test_nothing_goes_round_in_circles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_broker: Brokers
) -> None:
    """The device shares one event in both directions, and somebody in the cloud sends everything back."""
    cloud = new_broker()
    service, heard = Service("Watch"), list[Any]()

    @service.subscription(high)
    async def on(ctx: Context, payload: Any) -> None:
        heard.append(payload)

    peer = Peer(cloud)
    echoed = set[bytes]()

    def echo(message: Any) -> None:
        peer.messages.append(message)
        if message.payload not in echoed:
            echoed.add(message.payload)
            peer.send(message)

    peer.on_message = echo
    peer.subscribe("#")
    rules: dict[str, Any] = {"events": ["alarmHigh"], "listen": ["alarmHigh"]}
    with pair(tmp_path, monkeypatch, *FORCE, cloud=cloud, **rules) as link:
        async with device(link, tmp_path, service) as client, in_cloud(cloud, tmp_path) as other:
            for number in range(20):
                await client.emit(high, number)
            for number in range(20, 40):
                await other.emit(high, number)
            # Each once as it was sent, and once as it was sent back.
            await until(lambda: len(of_event(peer, "alarmHigh")) >= 80 and set(heard) == set(range(40)))
            await client.emit(high, 40)
            await until(lambda: len(of_event(peer, "alarmHigh")) >= 82 and 40 in heard)
    peer.close()
    assert len(of_event(peer, "alarmHigh")) == 82


async def test_what_comes_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_broker: Brokers) -> None:
    """Events and commands from the cloud, while the link is up."""
    cloud = new_broker()
    rules: dict[str, Any] = {"events": ["limitSet"], "listen": ["fleetConfigChanged"], "commands": ["*/1/setLimit"]}
    with pair(tmp_path, monkeypatch, "edge:app", *FORCE, cloud=cloud, prefix="fleet", **rules) as link:
        edge = importlib.import_module("edge")

        peer = Peer(cloud)
        peer.subscribe("#")
        async with (
            edge.app.serve(overrides=tree(link, tmp_path)),
            in_cloud(cloud, tmp_path, prefix="fleet") as client,
        ):
            await until(lambda: link.is_linked)
            await client.acting(tenant_id="plant_1").emit(config, 5)
            await until(lambda: len(edge.seen) == len(of_event(peer, "fleetConfigChanged")) == 1)
            (original,) = of_event(peer, "fleetConfigChanged")
            assert edge.seen == [json.loads(original.payload)]
            set_limit = edge.set_limit.using(instance_id=DEVICE, timeout=10.0)
            assert await client.invoke(set_limit, 5) == 5
            # Nobody else is asked, and nothing else can be.
            await until(lambda: len(of_event(peer, "limitSet")) == 1)
            with pytest.raises(Exception, match="504"):
                await client.invoke(edge.secret.using(instance_id=DEVICE, timeout=0.5))
        peer.close()


async def test_what_waits_in_the_cloud_outlives_the_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_broker: Brokers
) -> None:
    cloud = new_broker()
    if not KEEPS_INBOUND:
        # mosquitto 2.0 loses it, so nobody gets such a bridge unasked.
        bridge = {"url": cloud.url, "instance_id": DEVICE}
        section = {"url": "mqtts://cloud.example", "listen": ["fleetConfigChanged"]}
        refused = run_in(tmp_path, monkeypatch, bridge=bridge, uplink=section)
        assert refused.exit_code != 0
        assert "Use mosquitto 2.1" in refused.stderr
        return
    with cable(cloud.port) as wire:
        listen = ["fleetConfigChanged"]
        with pair(tmp_path, monkeypatch, "edge:app", cloud=cloud, port=wire.port, listen=listen) as link:
            edge = importlib.import_module("edge")

            async with edge.app.serve(overrides=tree(link, tmp_path)), in_cloud(cloud, tmp_path) as client:
                await until(lambda: link.is_linked)
                await client.emit(config, 0)
                await until(lambda: len(edge.seen) == 1)
                wire.cut()
                for number in range(1, 50):
                    await client.emit(config, number)
                await anyio.to_thread.run_sync(link.local.restart)
                wire.mend()
                await until(lambda: len({body["payload"] for body in edge.seen}) == 50)
                # What the bridge had not acknowledged when the link broke comes twice.
                assert list(dict.fromkeys(body["payload"] for body in edge.seen)) == list(range(50))
