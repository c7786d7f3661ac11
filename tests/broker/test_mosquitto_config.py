"""A broker with the configuration that is written: it starts, lets applications do their work, and nothing else."""

import importlib
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from purista_fast import App, BridgeError, Client, UnhandledError, connect
from purista_fast.bridges.mqtt.broker import Broker
from purista_fast.bridges.mqtt.rivals import Rivals
from purista_fast.bridges.mqtt.will import make_will
from purista_fast.config import BridgeSettings
from purista_fast.doctor.patient import Broken, Connection
from purista_fast.health import health
from tests.broker.configured import Configured, configured, run_in
from tests.broker.helpers import PATIENCE, until
from tests.mosquitto import Certificates

pytestmark = pytest.mark.anyio

BOTH = ("--instance", "edge=glasshouse:edge", "--instance", "cloud=glasshouse:cloud", "--client", "ops")
"""Two instances, each with rules for the services that it runs, and somebody who looks on."""


@asynccontextmanager
async def serving(app: App, bridge: dict[str, Any], state: Path) -> AsyncIterator[Client]:
    tree = {"bridge": {"local_commands": "broker", **bridge}, "storage": {"state_dir": str(state)}}
    async with app.serve(overrides=tree) as client:
        yield client


def body(kind: str, instance: str) -> bytes:
    sender = {"serviceName": "Old", "serviceVersion": "1", "serviceTarget": "", "instanceId": instance}
    return json.dumps({"messageType": kind, "id": "0" * 31 + "1", "timestamp": 1, "sender": sender}).encode()


def drain(connection: Connection, seconds: float = 0.3) -> list[str]:
    """The topics of what has come, until nothing more does."""
    return [message.topic for message in iter(lambda: connection.message(seconds), None)]


async def test_two_applications_work_under_their_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with configured(tmp_path, monkeypatch, *BOTH) as broker:
        glasshouse = importlib.import_module("glasshouse")
        edge, cloud = (broker.bridge_of(name, instance_id=name) for name in ("edge", "cloud"))
        async with serving(glasshouse.cloud, cloud, tmp_path), serving(glasshouse.edge, edge, tmp_path):
            async with connect(overrides={"bridge": broker.bridge_of("ops")}, name="CommandLine") as client:
                # A command that invokes one of the other application, whose success is an event for two subscriptions.
                reading = glasshouse.Reading("attic")
                assert await client.invoke(glasshouse.ask, reading) == reading
                await until(lambda: {"show attic", "count attic"} <= set(glasshouse.seen))
            await until(lambda: "ready edge" in glasshouse.seen)
            # PURISTA's info messages have a level less.
            with broker.connect("edge") as old:
                topic = "purista/info_service_ready/none/none/edge/old/1/none/none/none/none/none"
                assert old.publish(topic, body("infoServiceReady", "edge")) < 0x80
            await until(lambda: glasshouse.seen.count("ready edge") >= 2)


async def test_applications_can_be_asked_under_their_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with configured(tmp_path, monkeypatch, *BOTH) as broker:
        glasshouse = importlib.import_module("glasshouse")
        edge, cloud = (broker.bridge_of(name, instance_id=name) for name in ("edge", "cloud"))
        async with serving(glasshouse.cloud, cloud, tmp_path), serving(glasshouse.edge, edge, tmp_path):
            async with connect(overrides={"bridge": broker.bridge_of("ops")}, name="CommandLine") as client:
                assert [found.instance_id for found in await client.alive()] == ["cloud", "edge"]
                for instance_id in ("cloud", "edge"):
                    found = await client.invoke(health.using(instance_id=instance_id, timeout=5.0))
                    assert found.instance_id == instance_id
            # And another process with the same id finds out that this one is here.
            settings = BridgeSettings(**edge)
            rivals = Rivals(Broker.of(settings), "edge", settings.prefix, timeout=5.0)
            assert await rivals.find()


def test_a_will_is_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with configured(tmp_path, monkeypatch, *BOTH) as broker, broker.connect("ops") as watcher:
        watcher.subscribe("purista/info_service_not_ready/#")
        for instance in ("cloud", "edge"):
            will = make_will(instance, [("Thermo", "1")], BridgeSettings())
            client = paho.Client(CallbackAPIVersion.VERSION2, "edge_c", protocol=paho.MQTTv5)
            client.username_pw_set("edge", (tmp_path / "mosquitto" / "secrets" / "edge").read_text().strip())
            client.will_set(will.topic, will.payload, qos=1)  # without the delay
            client.connect("127.0.0.1", broker.port)
            while not client.is_connected():
                client.loop()
            client.socket().close()
        found = watcher.message(PATIENCE)
        assert found is not None
        assert found.topic.startswith("purista/info_service_not_ready/none/none/edge/thermo/")


async def test_a_forged_sender_is_refused_and_nobody_receives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with configured(tmp_path, monkeypatch, *BOTH) as broker:
        with broker.connect("ops") as watcher, broker.connect("edge") as edge, broker.connect("cloud") as cloud:
            for connection in (watcher, cloud):
                connection.subscribe("#")
            rest = "thermo/1/store/reading_stored/none/none/none/none"
            assert edge.publish(f"purista/custom_message/none/none/cloud/{rest}") == 0x87
            assert edge.publish("purista_fast/purista/marker/cloud") == 0x87
            assert edge.publish("anything/else") == 0x87
            assert watcher.publish(f"purista/custom_message/none/none/edge/{rest}") == 0x87
            honest = f"purista/custom_message/none/none/edge/{rest}"
            assert edge.publish(honest) < 0x80
            # What came before would have arrived before: order is kept.
            assert drain(watcher) == [honest]
            assert drain(cloud) == [honest]
            answer = "purista/command_success_response/none/none/edge/thermo/1/store/none/{}/client/1/client"
            for receiver in ("edge", "cloud"):
                edge.publish(answer.format(receiver))
            # An instance sees its own answers, not those of others.
            assert drain(cloud) == [answer.format("cloud")]
        # An application that has the wrong id for its user learns it at its first event.
        glasshouse = importlib.import_module("glasshouse")
        async with serving(glasshouse.edge, broker.bridge_of("edge", instance_id="cellar"), tmp_path) as client:
            with pytest.raises(UnhandledError, match="403") as caught:
                await client.emit(glasshouse.stored, glasshouse.Reading("attic"))
            assert caught.value.status == 403


async def test_the_marker_is_retained_for_its_instance_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with configured(tmp_path, monkeypatch, *BOTH) as broker:
        topic = "purista_fast/purista/marker/edge"
        with broker.connect("edge") as edge, broker.connect("cloud") as cloud:
            cloud.subscribe("purista_fast/#")
            edge.subscribe("purista_fast/#")
            assert edge.publish(topic, b"7") < 0x80
            assert drain(edge) == [topic]
            assert drain(cloud) == []


async def test_rules_for_whoever_is_connected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with configured(tmp_path, monkeypatch, "glasshouse:app", "--client", "ops") as broker:
        # Without --instance the rules hold for all; their passwords are added later.
        file = tmp_path / "mosquitto" / "passwords"
        for user in ("edge", "cloud"):
            command = ["mosquitto_passwd", "-b", str(file), user, user]
            await anyio.run_process(command)
            (tmp_path / "mosquitto" / "secrets" / user).write_text(user)
        broker.restart()
        glasshouse = importlib.import_module("glasshouse")
        async with serving(glasshouse.app, broker.bridge_of("edge", instance_id="edge"), tmp_path) as client:
            assert await client.invoke(glasshouse.ask, glasshouse.Reading("a")) == glasshouse.Reading("a")
            await until(lambda: {"show a", "count a"} <= set(glasshouse.seen))
        with broker.connect("cloud") as cloud:
            assert cloud.publish("purista/custom_message/none/none/edge/hall/1/x/y/none/none/none/none") == 0x87


async def test_anonymous_on_loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with configured(tmp_path, monkeypatch, "glasshouse:app", "--anonymous", passwords=False) as broker:
        glasshouse = importlib.import_module("glasshouse")
        async with serving(glasshouse.app, {"url": broker.url}, tmp_path) as client:
            assert await client.invoke(glasshouse.ask, glasshouse.Reading("a")) == glasshouse.Reading("a")


async def test_nobody_gets_in_without_a_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with configured(tmp_path, monkeypatch, "glasshouse:app", passwords=False) as broker:
        glasshouse = importlib.import_module("glasshouse")
        with pytest.raises(BridgeError, match="Not authorized"):
            async with serving(glasshouse.app, {"url": broker.url}, tmp_path):
                pass


async def test_tls_and_certificates_of_clients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certificates: Certificates
) -> None:
    for option in ("--tls", "--mtls"):
        folder = tmp_path / option.strip("-")
        folder.mkdir()
        # The common name of the client's certificate is `client`.
        arguments = ("glasshouse:app", "--instance", "client", option)
        with configured(folder, monkeypatch, *arguments, certificates=certificates) as broker:
            glasshouse = importlib.import_module("glasshouse")
            url = f"mqtts://127.0.0.1:{broker.tls_port}"
            bridge: dict[str, Any] = {"url": url, "instance_id": "client", "ca_file": str(certificates.ca)}
            if option == "--tls":
                bridge = broker.bridge_of("client", **bridge)
            else:
                with pytest.raises(BridgeError):
                    async with serving(glasshouse.app, {**bridge, "connect_timeout": 0.5}, folder):
                        pass
                bridge |= {"cert_file": str(certificates.client), "key_file": str(certificates.client_key)}
            async with serving(glasshouse.app, bridge, folder) as client:
                assert await client.invoke(glasshouse.ask, glasshouse.Reading("a")) == glasshouse.Reading("a")
            async with serving(glasshouse.edge, {**bridge, "instance_id": "other"}, folder) as client:
                with pytest.raises(UnhandledError) as caught:
                    await client.emit(glasshouse.stored, glasshouse.Reading("a"))
                assert caught.value.status == 403


def backlog(broker: Configured) -> list[int]:
    """What has waited for the session of ``cloud``, which then ends."""
    with broker.connect("cloud", client_id="cloud", clean_start=False) as connection:
        assert connection.connack.session_present
        return [int(message.payload) for message in iter(lambda: connection.message(1), None)]


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
async def test_what_waited_for_an_interval_survives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: signal.Signals
) -> None:
    topic = "purista/custom_message/none/none/edge/thermo/1/store/reading_stored/none/none/none/none"
    with configured(tmp_path, monkeypatch, *BOTH, "--save-every", "1s") as broker:
        away = broker.connect("cloud", client_id="cloud", clean_start=False, session_expiry=3600)
        away.subscribe(topic)
        away.close(3600)
        # More than the thousand that mosquitto keeps by default.
        count = 3000
        with broker.connect("edge") as edge:
            codes = edge.publish_all(topic, [b"%d" % n for n in range(count)], expiry=3600, window=100)
        assert max(codes) < 0x80
        if end == signal.SIGKILL:
            confirmed = time.time()
            await until(lambda: broker.database.exists() and broker.database.stat().st_mtime > confirmed)
        broker.stop(end)
        broker.start()
        assert backlog(broker) == list(range(count))


async def test_saving_on_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = "purista/custom_message/none/none/edge/thermo/1/store/reading_stored/none/none/none/none"
    with configured(tmp_path, monkeypatch, *BOTH, "--save-on-changes") as broker:
        away = broker.connect("cloud", client_id="cloud", clean_start=False, session_expiry=3600)
        away.subscribe(topic)
        away.close(3600)
        with broker.connect("edge") as edge:
            for number in range(20):
                assert edge.publish(topic, b"%d" % number, expiry=3600) < 0x80
        broker.stop(signal.SIGKILL)
        broker.start()
        # The last one was perhaps confirmed in the moment of the kill.
        assert backlog(broker)[:19] == list(range(19))


async def test_disk_covers_what_the_broker_had_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with configured(tmp_path, monkeypatch, *BOTH, "--save-every", "30s") as broker:
        glasshouse = importlib.import_module("glasshouse")
        edge, cloud = (broker.bridge_of(name, instance_id=name) for name in ("edge", "cloud"))
        async with serving(glasshouse.cloud, cloud, tmp_path):
            pass
        broker.restart()  # a stop saves the session of `cloud`, which is away from now on
        async with serving(glasshouse.edge, edge, tmp_path) as client:
            for number in range(10):
                await client.emit(glasshouse.precious, glasshouse.Reading(str(number)))
            # All of it is confirmed, and none of it saved.
            await anyio.to_thread.run_sync(broker.stop, signal.SIGKILL)
            await anyio.to_thread.run_sync(broker.start)
            async with serving(glasshouse.cloud, cloud, tmp_path):
                wanted = [f"keep {number}" for number in range(10)]
                await until(lambda: [text for text in glasshouse.seen if text.startswith("keep")][:10] == wanted)


async def test_one_more_instance_while_the_broker_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with configured(tmp_path, monkeypatch, "--instance", "edge=glasshouse:edge") as broker:
        running = broker.connect("edge")
        again = ["mosquitto", "config", *BOTH, "--force", "--passwords", "generate", "--port", str(broker.port)]
        assert run_in(tmp_path, monkeypatch, *again).exit_code == 0
        broker.signal(signal.SIGHUP)

        def gets_in() -> bool:
            try:
                broker.connect("cloud").close()
            except Broken:
                return False
            return True

        await until(gets_in)
        with broker.connect("cloud") as cloud:
            topic = "purista/custom_message/none/none/{}/hall/1/show/reading_stored/none/none/none/none"
            assert cloud.publish(topic.format("cloud")) < 0x80
            assert cloud.publish(topic.format("edge")) == 0x87
        # Who was connected still is, under the new rules.
        assert running.publish(topic.format("edge")) < 0x80
        running.close()
