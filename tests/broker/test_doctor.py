"""The doctor at real brokers: each fault is found and named, and nothing of the examination stays."""

import importlib
import json
import socket
import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from click.testing import Result

from purista_fast.bridges.mqtt.broker import Broker
from purista_fast.config import BridgeSettings
from purista_fast.doctor.patient import Connection
from tests.broker.configured import configured, run_in
from tests.broker.helpers import until
from tests.mosquitto import Certificates, Mosquitto, free_port

NewBroker = Callable[..., Mosquitto]
Doctor = Callable[..., Result]
ROOM = "max_queued_messages 5000"
"""Without it the doctor finds that as well."""


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """Runs ``purista-fast doctor --json`` with these settings of ``[bridge]``."""

    def run(*arguments: str, bridge: dict[str, Any]) -> Result:
        monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
        lines = [f"{key} = {json.dumps(value)}" for key, value in bridge.items()]
        (tmp_path / "doctor.toml").write_text("\n".join(["[bridge]", *lines]))
        return run_in(tmp_path, monkeypatch, "doctor", "--config", "doctor.toml", "--json", *arguments)

    return run


def found(result: Result, level: str) -> dict[str, dict[str, str]]:
    """The findings of a level, by subject."""
    return {each["subject"]: each for each in json.loads(result.stdout) if each["level"] == level}


def levels(result: Result, subject: str) -> set[str]:
    return {each["level"] for each in json.loads(result.stdout) if each["subject"] == subject}


def test_the_configuration_that_we_write_is_healthy(tmp_path: Path, doctor: Doctor, monkeypatch: Any) -> None:
    with configured(tmp_path, monkeypatch, "glasshouse:app", "--instance", "attic", "--client", "ops") as broker:
        file = str(tmp_path / "mosquitto" / "mosquitto.conf")
        bridge = broker.bridge_of("attic", instance_id="attic")
        result = doctor("glasshouse:app", "--broker-config", file, bridge=bridge)
        assert result.exit_code == 0, result.output
        assert not found(result, "broken")
        # What it warns of is no matter of the configuration.
        assert found(result, "warn").keys() <= {"version", "clock"}
        wanted = {"saving", "queue", "session", "overlap", "TCP_NODELAY", "publishing", "receiving", "access rules"}
        assert wanted <= found(result, "ok").keys()
        deep = doctor("glasshouse:app", "--deep", bridge=bridge)
        assert not found(deep, "broken")
        assert "20000 messages" in found(deep, "ok")["queue"]["text"]
        # Somebody who only calls is measured as well.
        assert not found(doctor(bridge=broker.bridge_of("ops")), "broken")
        secret = (tmp_path / "mosquitto" / "secrets" / "attic").read_text().strip()
        assert secret not in result.output + deep.output


def test_nothing_stays_and_nobody_notices(new_broker: NewBroker, doctor: Doctor) -> None:
    broker = new_broker(lines=["sys_interval 1", ROOM])
    with Connection(Broker.of(BridgeSettings(url=broker.url)), timeout=10) as watcher:
        watcher.subscribe("purista/#")
        assert doctor("glasshouse:app", bridge={"url": broker.url, "instance_id": "attic"}).exit_code == 0
        # The trial of what the services publish is never released: only the answer to ourselves is a message.
        topics = [message.topic for message in iter(lambda: watcher.message(0.5), None)]
        answer = "purista/command_success_response/none/none/attic/thermo/1/doctor/none/attic/doctor/1/doctor"
        assert topics == [answer]
        watcher.subscribe("$SYS/broker/clients/total")
        counts = iter(lambda: watcher.message(15), None)
        assert any(message.payload == b"1" for message in counts), "sessions of the doctor are left"
    with Connection(Broker.of(BridgeSettings(url=broker.url)), timeout=10) as late:
        late.subscribe("purista_fast/#", qos=0)
        late.subscribe("purista/#", qos=0)
        assert late.message(0.5) is None


@pytest.mark.parametrize(
    ("lines", "subject", "level", "change"),
    [
        (["set_tcp_nodelay false", ROOM], "TCP_NODELAY", "warn", "set_tcp_nodelay true"),
        (["max_queued_messages 10"], "queue", "broken", "max_queued_messages"),
        ([], "queue", "broken", "max_queued_messages"),
        (["max_packet_size 20000", ROOM], "packet size", "warn", "max_packet_size 16777216"),
        (["max_inflight_messages 1", ROOM], "receive maximum", "warn", "max_inflight_messages 1000"),
        (["max_keepalive 20", ROOM], "keep alive", "warn", "max_keepalive 60"),
        (["retain_available false", ROOM], "retain", "warn", "retain_available true"),
    ],
)
def test_a_fault_of_the_configuration(
    new_broker: NewBroker, doctor: Doctor, lines: Iterable[str], subject: str, level: str, change: str
) -> None:
    # The later line counts: the broker of the tests sets TCP_NODELAY itself.
    result = doctor(bridge={"url": new_broker(lines=lines).url})
    assert subject in found(result, level), result.output
    assert change in found(result, level)[subject]["change"]
    assert found(result, level)[subject]["cost"]
    assert result.exit_code == (1 if found(result, "broken") else 0)


def test_what_was_dropped_is_counted(new_broker: NewBroker, doctor: Doctor) -> None:
    broker = new_broker(lines=["max_queued_messages 10", "sys_interval 1"])
    with Connection(Broker.of(BridgeSettings(url=broker.url)), timeout=10) as watcher:
        doctor(bridge={"url": broker.url})
        watcher.subscribe("$SYS/broker/publish/messages/dropped")
        assert any(int(message.payload) for message in iter(lambda: watcher.message(15), None))
    assert "dropped" in found(doctor(bridge={"url": broker.url}), "warn")


def test_a_broker_that_acknowledges_nothing(new_broker: NewBroker, doctor: Doctor, tmp_path: Path) -> None:
    port = free_port()
    new_broker(lines=[f"listener {port} 127.0.0.1", "max_qos 0"])
    result = doctor("glasshouse:app", bridge={"url": f"mqtt://127.0.0.1:{port}"})
    assert result.exit_code == 1
    assert found(result, "broken")["features"]["change"] == "max_qos 2"


def test_a_broker_that_stops_at_qos_1(new_broker: NewBroker, doctor: Doctor) -> None:
    port = free_port()
    new_broker(lines=[ROOM, f"listener {port} 127.0.0.1", "max_qos 1"])
    result = doctor("glasshouse:app", bridge={"url": f"mqtt://127.0.0.1:{port}"})
    assert result.exit_code == 0, result.output
    assert "QoS 2" in found(result, "warn")["publishing"]["text"]


RULES = "\n".join(
    [
        "user attic",
        "topic readwrite purista_fast/purista/doctor/attic/#",
        "topic readwrite purista_fast/purista/marker/attic",
        "topic write purista/+/+/+/attic/#",
        "topic read purista/+/+/+/+/+/+/+/+/attic/+/+/+",
        "topic read purista/command/#",
        "topic read purista/+/+/+/+/+/+/+/reading_stored/#",
        "topic read purista/+/+/+/+/+/+/+/precious/#",
        "topic read purista/info_service_ready/#",
    ]
)


@pytest.mark.parametrize(
    ("without", "subject", "named"),
    [
        ("topic write purista/+/+/+/attic/#", "publishing", "answers of Thermo/1/store"),
        ("topic readwrite purista_fast/purista/marker/attic", "publishing", "its marker"),
        ("topic read purista/+/+/+/+/+/+/+/+/attic/+/+/+", "receiving", "instance 'attic'"),
        ("topic read purista/+/+/+/+/+/+/+/reading_stored/#", "receiving", "the subscription Hall/1/show"),
    ],
)
def test_rules_that_are_too_narrow(
    new_broker: NewBroker, doctor: Doctor, tmp_path: Path, without: str, subject: str, named: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr("purista_fast.doctor.examine.DEEP", 100)
    file = tmp_path / "acl"
    file.write_text(RULES)
    broker = new_broker(lines=[f"acl_file {file}", ROOM], users={"attic": "s3cret"})
    bridge = {"url": broker.url, "instance_id": "attic", "username": "attic", "password": "s3cret"}
    whole = doctor("glasshouse:app", "--deep", bridge=bridge)
    assert subject not in found(whole, "broken"), whole.output
    file.write_text(RULES.replace(without, "# nothing"))
    broker.restart()
    result = doctor("glasshouse:app", "--deep", bridge=bridge)
    assert result.exit_code == 1
    # What it may publish is what it is tried with: without that, there is no answer to receive.
    assert subject in found(result, "broken"), result.output
    assert named in found(result, "broken")[subject]["text"]
    assert "s3cret" not in result.output


def test_rules_without_a_place_for_the_doctor(new_broker: NewBroker, doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "acl").write_text("user attic\ntopic write purista/+/+/+/attic/#\n")
    broker = new_broker(lines=[f"acl_file {tmp_path / 'acl'}"], users={"attic": "s3cret"})
    bridge = {"url": broker.url, "instance_id": "attic", "username": "attic", "password": "s3cret"}
    result = doctor(bridge=bridge)
    assert found(result, "warn")["doctor"]["change"] == "pattern readwrite purista_fast/purista/doctor/%u/#"


def test_what_cannot_be_tried_is_said(new_broker: NewBroker, doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "acl").write_text(RULES)
    lines = [f"acl_file {tmp_path / 'acl'}", ROOM]
    broker = new_broker(lines=lines, users={"attic": "s3cret"})
    bridge = {"url": broker.url, "instance_id": "attic", "username": "attic", "password": "s3cret"}
    result = doctor("glasshouse:app", bridge=bridge)
    assert result.exit_code == 0
    assert "the subscription Hall/1/show" in found(result, "warn")["receiving"]["text"]
    # A broker without rules needs no trial.
    free = new_broker(lines=[ROOM])
    assert levels(doctor("glasshouse:app", bridge={"url": free.url}), "receiving") == {"ok"}


def test_a_wrong_password(new_broker: NewBroker, doctor: Doctor) -> None:
    broker = new_broker(users={"attic": "s3cret"})
    for password in ("wr0ng", None):
        bridge = {"url": broker.url, "username": "attic", **({"password": password} if password else {})}
        result = doctor(bridge=bridge)
        assert result.exit_code == 1
        assert "bridge.username" in found(result, "broken")["credentials"]["change"]
        assert "wr0ng" not in result.output


def test_no_broker(doctor: Doctor) -> None:
    result = doctor(bridge={"url": f"mqtt://127.0.0.1:{free_port()}"})
    assert result.exit_code == 3
    assert "Connection refused" in found(result, "broken")["reachable"]["text"]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"\x20\x02\x00\x01", b"\xff" * 9])
def test_something_else_than_a_broker(doctor: Doctor, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            # One connection to see that there is somebody, one to say hello.
            for _ in range(2):
                sock, _ = server.accept()
                with sock:
                    if sock.recv(1000):
                        sock.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        result = doctor(bridge={"url": f"mqtt://127.0.0.1:{server.getsockname()[1]}", "connect_timeout": 2.0})
        thread.join(10)
    assert result.exit_code == 1, result.output
    assert "credentials" in found(result, "broken")


def test_tls(new_broker: NewBroker, doctor: Doctor, certificates: Certificates) -> None:
    broker = new_broker(tls=certificates, lines=[ROOM])
    result = doctor(bridge=broker.bridge)
    assert result.exit_code == 0, result.output
    # The certificates of the tests are valid for two days.
    assert "expires in" in found(result, "warn")["certificate"]["text"]
    untrusted = doctor(bridge={"url": broker.url})
    assert untrusted.exit_code == 1
    assert "bridge.ca_file" in found(untrusted, "broken")["certificate"]["change"]
    plain = new_broker()
    no_tls = doctor(bridge={"url": plain.url.replace("mqtt:", "mqtts:"), "connect_timeout": 2.0})
    assert no_tls.exit_code == 3
    assert "TLS" in found(no_tls, "broken")


def test_a_certificate_that_is_asked_for(
    tmp_path: Path, doctor: Doctor, monkeypatch: pytest.MonkeyPatch, certificates: Certificates
) -> None:
    arguments = ("glasshouse:app", "--instance", "client", "--mtls")
    with configured(tmp_path, monkeypatch, *arguments, certificates=certificates) as broker:
        url = f"mqtts://127.0.0.1:{broker.tls_port}"
        bridge = {"url": url, "ca_file": str(certificates.ca), "instance_id": "client"}
        without = doctor(bridge=bridge)
        assert without.exit_code in (1, 3)
        change = " ".join(finding["change"] for finding in found(without, "broken").values())
        assert "bridge.cert_file" in change
        bridge |= {"cert_file": str(certificates.client), "key_file": str(certificates.client_key)}
        result = doctor("glasshouse:app", bridge=bridge)
        assert not found(result, "broken"), result.output
        assert "expires in" in found(result, "warn")["client certificate"]["text"]


def test_a_state_directory_that_cannot_be_written(
    new_broker: NewBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = new_broker(lines=[ROOM])
    (tmp_path / "file").touch()
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "file"))
    result = run_in(tmp_path, monkeypatch, "doctor", "--bridge", broker.url)
    assert result.exit_code == 1
    assert f"BROKEN  state directory: {tmp_path / 'file'} cannot be written" in result.stdout


def test_a_person_reads_what_to_do(new_broker: NewBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = new_broker(lines=["max_queued_messages 10"])
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    result = run_in(tmp_path, monkeypatch, "doctor", "--bridge", broker.url)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("BROKEN  queue: of 1200 confirmed"))
    assert lines[at + 1].strip().startswith("change:")
    assert lines[at + 2].strip().startswith("or else:")
    assert lines[-1].startswith("1 broken, ")


@pytest.mark.anyio
async def test_a_running_application_takes_no_notice(
    tmp_path: Path, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with configured(tmp_path, monkeypatch, "glasshouse:app", "--instance", "attic") as broker:
        glasshouse = importlib.import_module("glasshouse")
        bridge = broker.bridge_of("attic", instance_id="attic")
        tree = {"bridge": bridge, "storage": {"state_dir": str(tmp_path / "state")}}
        async with glasshouse.app.serve(overrides=tree) as client:
            await until(lambda: "ready attic" in glasshouse.seen)
            run = partial(doctor, "glasshouse:app", "--deep", bridge=bridge)
            monkeypatch.setattr("purista_fast.doctor.examine.DEEP", 100)
            result = await anyio.to_thread.run_sync(run)
            assert result.exit_code == 0, result.output
            await until(lambda: client.statistics()["late_answers"] == 1)
            counts = client.statistics()
            assert (counts["rejected"], counts["reconnects"], counts["commands_served"]) == ({}, 0, 0)
            assert not any(text.startswith(("show", "count", "keep")) for text in glasshouse.seen)
            # It works as before.
            await client.emit(glasshouse.stored, glasshouse.Reading("a"))
            await until(lambda: {"show a", "count a"} <= set(glasshouse.seen))
            assert {"show a", "count a"} >= {text for text in glasshouse.seen if not text.startswith("ready")}
