"""What the doctor reads in configurations and rules, and what it makes of the answers of brokers."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from purista_fast import ConfigError
from purista_fast.config import BridgeSettings
from purista_fast.doctor import reach, wire
from purista_fast.doctor.files import check_configuration
from purista_fast.doctor.finding import Finding
from purista_fast.doctor.limits import check_limits
from purista_fast.doctor.links import check_links
from purista_fast.doctor.local import check_clock, check_state_directory
from purista_fast.doctor.version import known_problems
from purista_fast.doctor.wire import Packet
from purista_fast.mosquitto import reader
from tests.broker.configured import run_in
from tests.mosquitto import make_certificates

HEALTHY = [
    "persistence true",
    "persistence_location /var/lib/mosquitto/",
    "autosave_interval 10",
    "max_queued_messages 100000",
    "set_tcp_nodelay true",
    "listener 1883 127.0.0.1",
]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs ``purista-fast mosquitto config glasshouse:app`` with more arguments."""

    def run(*arguments: str, **options: Any) -> Any:
        return run_in(tmp_path, monkeypatch, "mosquitto", "config", *arguments, **options)

    return run


def configuration(folder: Path, lines: Iterable[str]) -> reader.Configuration:
    (folder / "m.conf").write_text("\n".join(lines) + "\n")
    return reader.read(folder / "m.conf")


def findings(folder: Path, lines: Iterable[str], **bridge: Any) -> dict[tuple[str, str], Finding]:
    found = check_configuration(configuration(folder, lines), BridgeSettings(**bridge), 60.0)
    return {(finding.subject, finding.level): finding for finding in found}


def test_includes_and_listeners(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.conf").write_text("autosave_interval 7\n")
    (tmp_path / "more" / "a.conf").write_text("autosave_interval 5\nmax_queued_messages 9\n")
    (tmp_path / "more" / "no.txt").write_text("autosave_interval 1\n")
    lines = [
        "# a comment",
        "per_listener_settings true",
        f"include_dir {tmp_path / 'more'}",
        "listener 1883 ::1",
        "allow_anonymous true",
        "listener 8883",
        "certfile /c.pem",
        "keyfile /k.pem",
        "acl_file /acl",
    ]
    found = configuration(tmp_path, lines)
    assert found.number("autosave_interval", 0) == 7
    assert found.place("autosave_interval") == f"{tmp_path / 'more' / 'b.conf'}:1"
    plain, tls = found.listeners
    assert (plain.is_local, plain.has_tls, tls.is_local, tls.has_tls) == (True, False, False, True)
    anonymous = found.of(plain, "allow_anonymous")
    assert anonymous is not None
    assert anonymous.is_true
    assert found.of(tls, "allow_anonymous") is None
    # Nobody but this machine gets in without a name.
    assert not any(subject == "access" for subject, level in findings(tmp_path, lines) if level == "broken")


def test_a_port_with_an_address_elsewhere(tmp_path: Path) -> None:
    (listener,) = configuration(tmp_path, ["port 1884", "bind_address 127.0.0.1"]).listeners
    assert str(listener) == "listener 1884 127.0.0.1"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["include_dir /does/not/exist"], "no folder"),
        (["listener here"], "must have a port"),
        (["autosave_interval often"], "must be a number"),
        (["persistent_client_expiration 3"], "h, d, w, m or y"),
    ],
)
def test_a_configuration_that_is_wrong(tmp_path: Path, lines: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        findings(tmp_path, ["persistence true", *lines])
    assert f"{tmp_path / 'm.conf'}:2" in str(caught.value)


def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        reader.read(tmp_path / "missing.conf")


def test_a_folder_that_includes_itself(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="include each other"):
        configuration(tmp_path, [f"include_dir {tmp_path}"])


@pytest.mark.parametrize(
    ("replaced", "by", "subject", "level", "change"),
    [
        ("persistence true", "", "persistence", "broken", "persistence true"),
        ("persistence_location /var/lib/mosquitto/", "", "persistence", "warn", "persistence_location"),
        ("autosave_interval 10", "", "saving", "broken", "autosave_interval 10"),
        ("autosave_interval 10", "autosave_interval 60", "saving", "broken", "autosave_interval 10"),
        ("autosave_interval 10", "autosave_interval 45", "saving", "warn", "[outbox] hold above 92 s"),
        ("autosave_interval 10", "autosave_interval 0", "saving", "broken", "autosave_interval 10"),
        ("autosave_interval 10", "autosave_interval 9\nautosave_on_changes 1", "saving", "warn", "autosave_interval 1"),
        ("max_queued_messages 100000", "", "queue", "warn", "max_queued_messages 100000"),
        ("max_queued_messages 100000", "max_queued_messages 0", "queue", "warn", "max_queued_messages 100000"),
        ("max_queued_messages 100000", "max_queued_messages 50", "queue", "broken", "max_queued_messages 100000"),
        ("set_tcp_nodelay true", "", "TCP_NODELAY", "warn", "set_tcp_nodelay true"),
        ("set_tcp_nodelay true", "max_queued_bytes 5000", "queue", "warn", "max_queued_bytes"),
        ("set_tcp_nodelay true", "max_packet_size 5000", "packet size", "warn", "max_packet_size 16777216"),
        ("set_tcp_nodelay true", "message_size_limit 5000", "packet size", "warn", "message_size_limit 16777216"),
        ("set_tcp_nodelay true", "max_keepalive 30", "keep alive", "warn", "max_keepalive 60"),
        ("set_tcp_nodelay true", "retain_available false", "retain", "warn", "retain_available true"),
        ("set_tcp_nodelay true", "persistent_client_expiration 1d", "session expiry", "broken",
         "persistent_client_expiration 31d"),
        ("listener 1883 127.0.0.1", "listener 1883", "access", "warn", "certfile"),
        ("listener 1883 127.0.0.1", "listener 1883 192.0.2.1\nallow_anonymous true", "access", "broken",
         "allow_anonymous false"),
        ("listener 1883 127.0.0.1", "", "listeners", "warn", "allow_anonymous false"),
        ("listener 1883 127.0.0.1", "listener 1883 127.0.0.1\nmax_qos 0", "features", "broken", "max_qos 2"),
        ("set_tcp_nodelay true", "password_file /does/not/exist", "files", "broken", "password_file"),
        ("set_tcp_nodelay true", "password_file passwords", "files", "warn", "the whole path"),
    ],
)  # fmt: skip
def test_a_fault_of_a_file(tmp_path: Path, replaced: str, by: str, subject: str, level: str, change: str) -> None:
    assert {level for _, level in findings(tmp_path, HEALTHY)} == {"ok"}
    found = findings(tmp_path, [by if line == replaced else line for line in HEALTHY])
    assert change in found[subject, level].change
    assert found[subject, level].cost


@pytest.mark.parametrize(("option", "level"), [("password_file", "warn"), ("acl_file", "warn"), ("keyfile", "broken")])
def test_files_that_everybody_reads(tmp_path: Path, option: str, level: str) -> None:
    secret = tmp_path / "secret"
    secret.touch(0o600)
    lines = [*HEALTHY, f"{option} {secret}"]
    assert ("files", "ok") in findings(tmp_path, lines)
    secret.chmod(0o644)
    assert findings(tmp_path, lines)["files", level].change == f"chmod o= {secret}"


@pytest.mark.parametrize(
    ("lines", "level"),
    [
        ([], "ok"),
        (["bridge_protocol_version mqttv311"], "ok"),
        (["bridge_protocol_version mqttv50"], "broken"),
        (["bridge_protocol_version mqttv50", "bridge_session_expiry_interval 86400"], "ok"),
        (["cleansession true"], "broken"),
    ],
)
def test_sessions_of_bridges(tmp_path: Path, lines: list[str], level: str) -> None:
    fine = ["connection other", "address 192.0.2.1", "topic # both 1"]
    link = ["connection up", "address 192.0.2.2", *lines, "topic x/# out 1"]
    found = configuration(tmp_path, [*HEALTHY, *link, "topic y/# in 1", *fine])
    (finding,) = check_links(found)
    # Where nothing comes in, nothing waits.
    assert list(check_links(configuration(tmp_path, [*HEALTHY, *link]))) == []
    assert (finding.subject, finding.level) == ("bridge", level)
    assert level == "ok" or "'up'" in finding.text
    assert list(check_links(configuration(tmp_path, HEALTHY))) == []


def test_a_longer_hold_allows_a_longer_interval(tmp_path: Path) -> None:
    found = configuration(tmp_path, [line.replace("interval 10", "interval 100") for line in HEALTHY])
    assert any(f.level == "broken" for f in check_configuration(found, BridgeSettings(), 60.0))
    assert not any(f.level == "broken" for f in check_configuration(found, BridgeSettings(), 300.0))


def test_the_doctor_reads_a_file_without_a_broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.conf").write_text("\n".join(HEALTHY))
    assert run_in(tmp_path, monkeypatch, "doctor", "--broker-config", "m.conf").exit_code == 0
    (tmp_path / "m.conf").write_text("listener 1883\n")
    result = run_in(tmp_path, monkeypatch, "doctor", "--broker-config", "m.conf")
    assert result.exit_code == 1
    assert "BROKEN  persistence: " in result.stdout
    nobody = run_in(tmp_path, monkeypatch, "doctor")
    assert nobody.exit_code == 2
    assert "--broker-config" in nobody.stderr


def test_rules_of_a_file_are_judged(write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "purista.toml").write_text('[bridge]\ninstance_id = "edge"\n')
    assert write("--instance", "edge=glasshouse:edge").exit_code == 0
    file = ("--broker-config", "mosquitto/mosquitto.conf")
    assert run_in(tmp_path, monkeypatch, "doctor", "glasshouse:edge", *file).exit_code == 0
    result = run_in(tmp_path, monkeypatch, "doctor", "glasshouse:app", *file)
    assert result.exit_code == 1
    assert "receive the command Hall/1/ask" in result.stdout
    assert "topic read purista/command/+/+/+/+/+/+/+/+/hall/1/ask" in result.stdout


# --- what a broker says


def connack(**said: int) -> Packet:
    properties = Properties(PacketTypes.CONNACK)
    for name, value in said.items():
        setattr(properties, name, value)
    data = b"\0\0" + properties.pack()
    return wire.parse(PacketTypes.CONNACK << 4, data)


@pytest.mark.parametrize(
    ("said", "subject", "level"),
    [
        ({"SessionExpiryInterval": 3600}, "session expiry", "broken"),
        ({"MaximumQoS": 0}, "features", "broken"),
        ({"WildcardSubscriptionAvailable": 0}, "features", "broken"),
        ({"SharedSubscriptionAvailable": 0}, "features", "broken"),
        ({"SubscriptionIdentifierAvailable": 0}, "features", "broken"),
        ({"RetainAvailable": 0}, "retain", "warn"),
        ({"ReceiveMaximum": 5}, "receive maximum", "warn"),
        ({"MaximumPacketSize": 5000}, "packet size", "warn"),
        ({"ServerKeepAlive": 10}, "keep alive", "warn"),
    ],
)
def test_limits_of_a_connack(said: dict[str, int], subject: str, level: str) -> None:
    assert {finding.level for finding in check_limits(connack(), BridgeSettings())} == {"ok"}
    found = {(f.subject, f.level): f for f in check_limits(connack(**said), BridgeSettings())}
    assert found[subject, level].change
    assert found[subject, level].cost


def test_known_problems_of_releases() -> None:
    old = [text for text, _ in known_problems((2, 0, 11))]
    assert any("shared subscriptions" in text for text in old)
    assert any("0x8E" in text for text in old)
    assert not any("shared subscriptions" in text for text, _ in known_problems((2, 0, 12)))
    assert known_problems((2, 1, 0)) == []


def test_how_long_a_certificate_lasts(tmp_path: Path) -> None:
    made = make_certificates(tmp_path)
    days = reach._days_left(reach._end_of_file(made.client))
    assert days is not None
    assert 1.9 < days <= 2.0
    assert reach._end_of_file(made.client_key) is None
    for left, level in [(-3.0, "broken"), (5.0, "warn"), (100.0, "ok"), (None, "warn")]:
        assert reach._by_age("certificate", "it", left).level == level


@pytest.mark.parametrize("first", range(0, 256, 16))
def test_packets_that_are_none(first: int) -> None:
    for body in (b"", b"\0", b"\0\5\xff\xff\xff\xff\xff", b"\0\1a\0\1\3\x7f\x00\x00"):
        # Read, or refused as what it is: nothing else is raised.
        with suppress(ValueError):
            wire.parse(first, body)
    with pytest.raises(ValueError, match="MQTT"):
        wire.read_length(b"\x30\xff\xff\xff\xff\xff")


def test_this_machine(tmp_path: Path) -> None:
    assert check_clock("auto").subject == "clock"
    assert check_clock("always").level == "ok"
    (roomy,) = check_state_directory(tmp_path / "made" / "later", 1)
    (narrow,) = check_state_directory(tmp_path, 1 << 60)
    assert (roomy.level, narrow.level) == ("ok", "warn")
    assert list(tmp_path.iterdir()) == []
