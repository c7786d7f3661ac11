"""The unit that is written: what systemd itself says of it, and how it follows options and settings."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import patient
from tests.unit.programs import systemd_analyze

GREENHOUSE = """
from purista_fast import App, Service

app = App(Service("Thermo"))
"""
MOST_EXPOSURE = 1.5
"""Of 10, by `systemd-analyze security`: what is left is mostly the network, which a bridge needs."""
NEWER = re.compile(r"Unknown key(?: name)? '(?:RestartSteps|RestartMaxDelaySec)'")
"""From systemd 254 on; older ones say that they do not know it, and go on."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "greenhouse.py").write_text(GREENHOUSE)
    return tmp_path


def write(folder: Path, *words: str, code: int = 0) -> str:
    """What `purista-fast systemd-unit greenhouse:app` prints, or its error."""
    command = [sys.executable, "-m", "purista_fast.cli", "systemd-unit", "greenhouse:app", *words]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PURISTA_")}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=patient(30))
    assert done.returncode == code, done.stderr
    return done.stderr if code else done.stdout


def directives(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def verified(folder: Path, text: str) -> float:
    """Has systemd judge a unit; returns its exposure."""
    unit = folder / "greenhouse.service"
    unit.write_text(text)
    done = subprocess.run(
        [systemd_analyze(), "verify", "--man=no", unit], capture_output=True, text=True, timeout=patient(60)
    )
    complaints = [line for line in done.stderr.splitlines() if unit.name in line and not NEWER.search(line)]
    assert (done.returncode, complaints) == (0, [])
    command = [systemd_analyze(), "security", "--offline=true", "--no-pager", "--json=short", unit]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=patient(60)).stdout)
    assert found
    command = [systemd_analyze(), "security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSURE * 10:.0f}"]
    judged = subprocess.run([*command, unit], capture_output=True, text=True, timeout=patient(60))
    assert judged.returncode == 0, judged.stdout
    said = re.search(r"exposure level for \S+: ([\d.]+)", judged.stdout)
    assert said, judged.stdout
    return float(said[1])


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--bridge", "mqtts://broker.example"),
        ("--bridge", "mqtts://broker.example", "--watchdog", "0", "--start-limit", "20", "--memory", "64M"),
        ("--user", "root", "--environment-file", "/etc/greenhouse/environment"),
    ],
)
def test_systemd_finds_nothing_wrong(folder: Path, words: tuple[str, ...]) -> None:
    assert verified(folder, write(folder, *words)) <= MOST_EXPOSURE + ("--user" in words) * 2


def test_it_is_notify_with_a_watchdog_and_a_sandbox(folder: Path) -> None:
    found = directives(write(folder))
    assert found["Type"] == ["notify"]
    assert found["ExecStart"] == [f"{sys.prefix}/bin/purista-fast run greenhouse:app"]
    assert found["WorkingDirectory"] == [str(folder)]
    assert found["WatchdogSec"] == ["30s"]
    assert found["Restart"] == ["always"]
    assert found["StateDirectory"] == ["thermo"]
    assert found["DynamicUser"] == ["yes"]
    assert found["MemoryMax"] == ["128M"]
    assert "Wants" not in found, "memory:// needs no network"


def test_it_follows_options_and_settings(folder: Path) -> None:
    (folder / "edge.toml").write_text(
        """
        [bridge]
        username = "house"
        connect_timeout = "60s"
        password_file = "secret/password"
        key_file = "/etc/greenhouse/50%.key"
        [app]
        threads = 100
        [uplink]
        url = "mqtts://cloud.example"
        events = ["*"]
        instance_id = "house"
        username = "house"
        password_file = "cloud"
        [storage]
        state_dir = "/var/lib/green/house"
        [profile.field.bridge]
        url = "mqtts://broker.example"
        """
    )
    words = ("--config", "edge.toml", "--profile", "field", "--name", "house", "--venv", "/opt/house/venv")
    found = directives(write(folder, *words, "--directory", "/opt/house", "--memory", "64M", "--watchdog", "10"))
    assert found["ExecStart"] == [
        f"/opt/house/venv/bin/purista-fast run greenhouse:app --profile field --config {folder}/edge.toml"
    ]
    assert found["Wants"] == found["After"] == ["network-online.target"]
    assert found["LoadCredential"] == [
        "bridge__password_file:/opt/house/secret/password",
        "bridge__key_file:/etc/greenhouse/50%%.key",
        "uplink__password_file:/opt/house/cloud",
    ]
    assert found["Environment"][1:] == [
        "PURISTA_BRIDGE__PASSWORD_FILE=%d/bridge__password_file",
        "PURISTA_BRIDGE__KEY_FILE=%d/bridge__key_file",
        "PURISTA_UPLINK__PASSWORD_FILE=%d/uplink__password_file",
    ]
    assert found["StateDirectory"] == ["green/house"]
    assert found["TasksMax"] == ["124"]
    assert found["TimeoutStartSec"] == ["180s"]
    assert (found["MemoryMax"], found["WatchdogSec"]) == (["64M"], ["10s"])


def test_what_it_waits_for(folder: Path) -> None:
    assert directives(write(folder, "--bridge", "mqtt://localhost:1884"))["After"] == ["mosquitto.service"]
    (folder / "purista.toml").write_text("[bridge]\nwait_for_broker = false\n")
    assert "After" not in directives(write(folder, "--bridge", "mqtts://broker.example"))


def test_workers(folder: Path) -> None:
    found = directives(write(folder, "--workers", "3", "--bridge", "mqtt://localhost"))
    assert found["ExecStart"][0].endswith(" run greenhouse:app --bridge mqtt://localhost --workers 3")
    assert found["TasksMax"] == ["96"]
    assert "would share nothing" in write(folder, "--workers", "3", code=2)


def test_devices(folder: Path) -> None:
    words = ("--device", "/dev/i2c-987", "--device", "/dev/null", "--group", "sensors")
    text = write(folder, *words)
    found = directives(text)
    assert found["DeviceAllow"] == ["/dev/i2c-987 rw", "/dev/null rw"]
    assert found["SupplementaryGroups"] == ["sensors i2c"]
    assert found["DevicePolicy"] == ["closed"]
    assert not {"PrivateDevices", "PrivateUsers"} & set(found)


def test_an_application_in_a_home_folder_is_seen(folder: Path) -> None:
    assert directives(write(folder, "--directory", str(Path("/home", "pi", "greenhouse"))))["ProtectHome"] == [
        "read-only"
    ]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--name", "Green House"), "'Green House' cannot name a unit"),
        (("--memory", "64 MB"), "'64 MB' is no size such as 64M"),
        (("--device", "i2c-1"), "'i2c-1' is no device such as /dev/i2c-1"),
        (("--directory", "/opt/a\nUser=root"), "cannot be written in a unit"),
        (("--directory", "/opt/a\\"), "cannot be written in a unit"),
        (("--venv", "/opt/my venv"), "a path with a space, quote, backslash or $ cannot be written in a unit"),
        (("--user", ""), "'' is no name of an account or a group"),
        (("--group", "a b"), "'a b' is no name of an account or a group"),
        (("--device", "/dev/a b"), "cannot be written in a unit: '/dev/a b'"),
        (("--bridge", "mqtts://me:se/cret@broker.example"), "the password in it would be in the unit"),
        (("--output", "missing/unit"), "missing/unit cannot be written: No such file or directory"),
    ],
)
def test_what_cannot_work(folder: Path, words: tuple[str, ...], text: str) -> None:
    assert text in write(folder, *words, code=2)


@pytest.mark.parametrize("name", ["a\\nExecStartPre=/bin/false", "a b", "a\\\\"])
@pytest.mark.parametrize("setting", ['storage.state_dir = "/var/lib/%s"', 'bridge.password_file = "%s"'])
def test_settings_add_no_lines(folder: Path, setting: str, name: str) -> None:
    (folder / "purista.toml").write_text(setting % name)
    if name == "a b" and "password" in setting:  # one value, not a list of words
        assert directives(write(folder))["LoadCredential"] == [f"bridge__password_file:{folder}/a b"]
    else:
        assert "cannot be written in a unit" in write(folder, code=2)


def test_a_file_of_variables_is_found_from_anywhere(folder: Path) -> None:
    found = directives(write(folder, "--environment-file", "variables"))
    assert found["EnvironmentFile"] == [f"{folder}/variables"]


def test_a_state_that_nobody_could_write(folder: Path) -> None:
    (folder / "purista.toml").write_text('[storage]\nstate_dir = "/srv/state"\n')
    assert "choose a folder in /var/lib, or name an account with --user" in write(folder, code=2)
    assert directives(write(folder, "--user", "pi"))["ReadWritePaths"] == ["/srv/state"]


def test_a_file_is_not_replaced_unless_it_is_said(folder: Path) -> None:
    assert write(folder, "--output", "greenhouse.service") == ""
    assert "--force replaces it" in write(folder, "--output", "greenhouse.service", code=2)
    write(folder, "--output", "greenhouse.service", "--memory", "1G", "--force")
    assert "MemoryMax=1G" in (folder / "greenhouse.service").read_text()


def test_a_link_is_not_followed_unless_it_is_said(folder: Path) -> None:
    (folder / "link").symlink_to(folder / "elsewhere")
    assert "--force replaces it" in write(folder, "--output", "link", code=2)
    assert not (folder / "elsewhere").exists()
