"""What `purista-fast mosquitto bridge` writes, and what it refuses."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from purista_fast.doctor.links import check_links
from purista_fast.mosquitto import links, reader
from tests.broker.bridged import run_in

BRIDGE = {"url": "mqtt://localhost", "instance_id": "attic"}
NEW, OLD = ("--mosquitto-version", "2.1.0"), ("--mosquitto-version", "2.0.21")
Write = Callable[..., Result]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Runs the command with these arguments and ``[uplink]``."""

    def run(*arguments: str, bridge: dict[str, Any] | None = None, app: Any = None, **uplink: Any) -> Result:
        tree = {"bridge": {**BRIDGE, **(bridge or {})}, "uplink": {"url": "mqtts://cloud.example", **uplink}}
        return run_in(tmp_path, monkeypatch, *arguments, **tree, **({"app": app} if app else {}))

    return run


def parts(result: Result, name: str) -> list[str]:
    """The values of an option, in order."""
    assert result.exit_code == 0, result.output
    return [line.removeprefix(f"{name} ") for line in result.stdout.splitlines() if line.startswith(f"{name} ")]


def test_events_go_out_of_this_device_alone(write: Write) -> None:
    result = write(*OLD, events=["alarmHigh"], prefix="fleet")
    assert parts(result, "topic") == [
        "custom_message/+/+/attic/+/+/+/alarm_high/+/+/+/+ out 1 purista/ fleet/",
        "command_success_response/+/+/attic/+/+/+/alarm_high/+/+/+/+ out 1 purista/ fleet/",
    ]
    assert parts(result, "address") == ["cloud.example:8883"]
    assert parts(result, "bridge_protocol_version") == ["mqttv50"]
    assert parts(result, "remote_clientid") == ["attic"]
    assert parts(result, "cleansession") == parts(result, "local_cleansession") == ["false"]
    assert parts(result, "bridge_session_expiry_interval") == [], "an option of 2.1, which 2.0 does not start with"
    assert parts(result, "max_queued_messages") == ["100000"]
    assert parts(result, "bridge_insecure") == []
    assert "warning" not in result.stderr
    assert "give it uplink.enabled = false" in result.stderr
    assert write(*OLD, events=["alarmHigh"], enabled=False).stderr == ""


def test_all_instances_and_workers(write: Write) -> None:
    topics = parts(write(*OLD, events=["noise"], instances=["attic", "cellar"]), "topic")
    assert [topic.split("/")[3] for topic in topics] == ["attic", "attic", "cellar", "cellar"]
    topics = parts(write(*OLD, events=["noise"], app={"workers": 2}), "topic")
    assert [topic.split("/")[3] for topic in topics] == ["attic_1", "attic_1", "attic_2", "attic_2"]


def test_patterns_become_the_events_that_the_application_knows(write: Write) -> None:
    topics = parts(write("edge:app", *OLD, events=["alarm*"]), "topic")
    assert [topic.split("/")[7] for topic in topics[::2]] == ["alarm_high", "alarm_low"]
    refused = write(*OLD, events=["alarm*"])
    assert refused.exit_code != 0
    assert 'uplink.events: "alarm*": a broker cannot filter on a part of a name' in str(refused.stderr)
    refused = write("edge:app", *OLD, events=["alarms*"])
    assert "the application knows no such event; it knows alarmHigh, alarmLow, fleetConfigChanged" in refused.stderr


def test_what_comes_in_needs_a_broker_that_keeps_it(write: Write) -> None:
    for what in ({"listen": ["fleetConfigChanged"]}, {"commands": ["Watch/1/setLimit"]}):
        refused = write("edge:app", *OLD, **what)
        assert refused.exit_code != 0
        assert "this is mosquitto 2.0.21, and before 2.1 the session of a bridge" in refused.stderr
        forced = write("edge:app", *OLD, "--force-inbound", **what)
        assert "warning: what is published at the other broker while the link is down" in forced.stderr
        result = write("edge:app", *NEW, session_expiry="2h", **what)
        assert parts(result, "bridge_session_expiry_interval") == ["7200"]
        assert "warning" not in result.stderr


def test_commands_come_in_and_their_answers_go_out(write: Write) -> None:
    command = "command/+/+/+/+/+/+/+/attic/watch/1/set_limit in 1 purista/ purista/"
    success = "command_success_response/+/+/attic/watch/1/set_limit/+/+/+/+/+ out 1 purista/ purista/"
    failure = "command_error_response/+/+/attic/watch/1/set_limit/+/+/+/+/+ out 1 purista/ purista/"
    assert parts(write("edge:app", *NEW, commands=["*/1/setLimit"]), "topic") == [command, success, failure]
    # An answer that goes out as an event is not sent twice.
    topics = parts(write("edge:app", *NEW, commands=["*/1/setLimit"], events=["limitSet"]), "topic")
    assert [topic for topic in topics if "/watch/" in topic] == [command, failure]
    assert "no such command" in write("edge:app", *NEW, commands=["Watch/1/none"]).stderr
    assert "name the application (module:app)" in write(*NEW, commands=["Watch/1/setLimit"]).stderr


def test_a_password_is_in_the_file_and_nowhere_else(write: Write, tmp_path: Path) -> None:
    secret = {"username": "attic", "password": "s3cret word", "events": ["noise"]}
    refused = write(*OLD, **secret)
    assert refused.exit_code != 0
    assert "--output FILE" in refused.stderr
    file = tmp_path / "bridge.conf"
    written = write(*OLD, "--output", str(file), **secret)
    assert written.exit_code == 0
    assert "warning: the password stands in the file in clear text" in written.stderr
    for result in (refused, written):
        assert "s3cret" not in result.output
    assert "remote_password s3cret word\n" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "is there already; --force replaces it" in write(*OLD, "--output", str(file), **secret).stderr
    assert write(*OLD, "--output", str(file), "--force", **secret).exit_code == 0
    for wrong in ("line\nbreak", " blank", ""):
        assert "cannot hold it" in write(*OLD, "--output", str(file), "--force", **{**secret, "password": wrong}).stderr
    assert "s3cret" not in repr(links.Link)


def test_what_a_bridge_cannot_do_is_said(write: Write) -> None:
    result = write(*OLD, events=["alarmHigh", "noise"], event={"alarmHigh": {"priority": 5, "ttl": "1h"}, "noise": {}})
    assert "warning: a broker's bridge knows no priority and no ttl" in result.stderr
    assert "uplink.event of alarmHigh has no effect" in result.stderr
    assert "issue 2634" in write("--mosquitto-version", "2.0.15", events=["noise"]).stderr
    assert "2.0.13 does not" in write("--mosquitto-version", "2.0.11", events=["noise"]).stderr


@pytest.mark.parametrize(
    ("arguments", "bridge", "message"),
    [
        (OLD, {"url": "memory://"}, "bridge.url is memory://"),
        (("--mosquitto-version", "1.6.9"), {}, "has no bridges with MQTT 5"),
        (("--mosquitto-version", "new"), {}, "'new' is no version of mosquitto"),
    ],
)
def test_what_cannot_work_is_refused(write: Write, arguments: tuple[str, ...], bridge: Any, message: str) -> None:
    result = write(*arguments, bridge=bridge, events=["noise"])
    assert result.exit_code != 0
    assert message in result.stderr


def test_without_an_id_or_a_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uplink = {"url": "mqtts://cloud.example", "events": ["noise"]}
    result = run_in(tmp_path, monkeypatch, *OLD, bridge={"url": "mqtt://localhost"}, uplink=uplink)
    assert "bridge.instance_id is not set" in result.stderr
    assert "has no [uplink]" in run_in(tmp_path, monkeypatch, *OLD, bridge=BRIDGE).stderr


def test_certificates(write: Write, tmp_path: Path) -> None:
    assert parts(write(*OLD, events=["noise"]), "bridge_capath") == ["/etc/ssl/certs"]
    assert parts(write(*NEW, events=["noise"]), "bridge_tls_use_os_certs") == ["true"]
    assert "uplink.ca_file 'gone.pem' cannot be used" in write(*OLD, events=["noise"], ca_file="gone.pem").stderr


def test_the_doctor_agrees(write: Write, tmp_path: Path) -> None:
    file = tmp_path / "bridge.conf"
    for options, level in ((NEW, ["ok"]), ((*OLD, "--force-inbound"), ["broken"])):
        made = write(*options, "--output", str(file), "--force", events=["noise"], listen=["fleetConfigChanged"])
        assert made.exit_code == 0, made.output
        assert [finding.level for finding in check_links(reader.read(file))] == level
