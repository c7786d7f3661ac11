"""Access rules for devices on one broker, as they are written."""

from pathlib import Path
from typing import Any, Literal

import pytest

from purista_fast.errors import ConfigError
from purista_fast.mosquitto import acl, devices
from purista_fast.mosquitto.acl import Rules
from tests.broker.configured import run_in

EVENT = "p/custom_message/none/{}/{}/tank/1/watch/{}/none/none/none/none"
COMMAND = "p/command/none/{}/{}/ops/1/call/none/{}/watch/1/set_limit"


def rules(tmp_path: Path, lines: str | None, *listen: str) -> Rules:
    file = tmp_path / "devices"
    if lines is not None:
        file.write_text(lines)
    made = devices.blocks("p", None if lines is None else devices.read(file), listen)
    return Rules.parse(acl.render(made, "head"))


@pytest.mark.parametrize("lines", [None, "first\nsecond\n"])
def test_each_device_is_itself_alone(tmp_path: Path, lines: str | None) -> None:
    found = rules(tmp_path, lines, "fleetConfigChanged")

    def may(access: Literal["read", "write"], topic: str) -> bool:
        return found.allow(access, topic, user="first")

    assert may("write", EVENT.format("none", "first", "alarm"))
    assert may("write", EVENT.format("a", "first", "alarm"))
    assert not may("write", EVENT.format("none", "second", "alarm"))
    assert not may("write", COMMAND.format("none", "first", "second")), "a device calls nobody"
    assert may("read", COMMAND.format("none", "cloud", "first"))
    assert not may("read", COMMAND.format("none", "cloud", "second"))
    assert not may("read", EVENT.format("none", "second", "alarm"))
    assert not may("read", EVENT.format("none", "first", "alarm"))
    assert may("read", EVENT.format("none", "cloud", "fleet_config_changed"))
    for topic, expected in (("marker/first", True), ("marker/second", False)):
        assert may("write", f"purista_fast/p/{topic}") is may("read", f"purista_fast/p/{topic}") is expected


def test_tenants_are_apart(tmp_path: Path) -> None:
    found = rules(tmp_path, "# id tenant\na1 plant_a\na2 plant_a\nb1 plant_b cellar\n", "fleetConfigChanged")
    for tenant, expected in (("plant_a", True), ("plant_b", False), ("none", False)):
        assert found.allow("write", EVENT.format(tenant, "a1", "alarm"), user="a1") is expected
    for tenant, expected in (("plant_a", True), ("plant_b", False), ("none", True)):
        assert found.allow("read", COMMAND.format(tenant, "cloud", "a1"), user="a1") is expected
        assert found.allow("read", EVENT.format(tenant, "x", "fleet_config_changed"), user="a1") is expected
    assert found.allow("write", "p/info_service_ready/none/none/a1/tank/1/none/none/none/none/none/none", user="a1")
    assert not found.allow("write", "p/info_service_ready/none/none/b1/tank/1/none/none/none/none/none/none", user="a1")
    # A device whose own broker has a bridge sends for others on it.
    assert found.allow("write", EVENT.format("plant_b", "cellar", "alarm"), user="b1")
    assert not found.allow("write", EVENT.format("plant_a", "cellar", "alarm"), user="a1")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("a\na\n", ":2: the device 'a' is there twice"),
        ("a b\n+ b\n", ":2: device '+': a name for mosquitto has only letters"),
        ("green-house", "use 'green_house'"),
        ("a PlantA", "tenant 'PlantA' cannot be a level of a topic as it is; use 'plant_a'"),
        ("a none", "tenant 'none' cannot be a level"),
        ("none", "stands for nobody"),
        ("a - #", "device '#'"),
        ("# only a comment", "names no device"),
    ],
)
def test_a_file_that_is_wrong(tmp_path: Path, lines: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        rules(tmp_path, lines)
    assert message in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        devices.read(tmp_path / "missing")


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fleet.txt").write_text("first\nsecond plant\n")

    def run(*arguments: str) -> Any:
        return run_in(tmp_path, monkeypatch, "mosquitto", "config", *arguments, "--force")

    assert run("--instance", "cloud=glasshouse:cloud", "--devices", "fleet.txt", "--listen", "config").exit_code == 0
    text = (tmp_path / "mosquitto" / "acl").read_text()
    assert [line for line in text.splitlines() if line.startswith("user ")] == [
        "user cloud",
        "user first",
        "user second",
    ]
    assert "pattern" not in text
    assert run("--devices", "all", "--client", "ops").exit_code == 0
    assert "pattern write purista/custom_message/+/+/%u/#" in (tmp_path / "mosquitto" / "acl").read_text()
    assert "--devices FILE or --devices all" in run("--listen", "config").output
    assert "nobody has a name" in run("--anonymous", "--devices", "all").output
    assert "given twice" in run("--devices", "fleet.txt", "--client", "first").output
