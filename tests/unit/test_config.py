"""Settings: where they come from, which of them wins, and what is said of those that are wrong."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from purista_fast import ConfigError
from purista_fast.config import BridgeSettings, Settings, StorageSettings, fill, load
from purista_fast.urls import public_url

FILE = """
[bridge]
url = "mqtts://broker.example"
command_timeout = "500ms"
keep_alive = 60
message_expiry = "2d"

[services]
enabled = ["Thermo"]

[config.Thermo]
limit = 30.0

[profile.cloud.services]
enabled = ["Fleet"]

[profile.cloud.bridge]
instance_id = "cloud"
"""


class Limits(Struct):
    limit: float = 30.0
    names: list[str] = []  # msgspec copies it
    label: str = ""
    extra: Any = None


Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        file = tmp_path / "purista.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return write


def test_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load(environ={})
    assert settings.bridge.url == "memory://"
    assert (settings.bridge.command_timeout, settings.bridge.queue_timeout) == (30.0, 5.0)
    assert settings.services.enabled is None
    assert settings.source == "the defaults"


def test_a_file_and_its_durations(write: Write) -> None:
    settings = load(write(FILE), environ={})
    assert settings.bridge.url == "mqtts://broker.example"
    assert (settings.bridge.command_timeout, settings.bridge.message_expiry) == (0.5, 172800.0)
    assert settings.services.enabled == ["Thermo"]
    assert settings.config == {"Thermo": {"limit": 30.0}}


def test_the_file_of_the_current_folder(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write(FILE).parent)
    assert load(environ={}).bridge.keep_alive == 60


def test_a_profile_lies_over_the_rest(write: Write) -> None:
    settings = load(write(FILE), profile="cloud", environ={})
    assert (settings.services.enabled, settings.bridge.instance_id) == (["Fleet"], "cloud")
    assert settings.bridge.keep_alive == 60, "what it leaves out stays"
    assert load(write(FILE), environ={"PURISTA_PROFILE": "cloud"}).services.enabled == ["Fleet"]


def test_the_environment_lies_over_the_profile_and_arguments_over_all(write: Write) -> None:
    environ = {
        "PURISTA_BRIDGE__INSTANCE_ID": "from_environment",
        "PURISTA_BRIDGE__KEEP_ALIVE": "90",
        "PURISTA_BRIDGE__COMMAND_TIMEOUT": "2s",
        "PURISTA_BRIDGE__INSECURE": "true",
        "PURISTA_BRIDGE__PASSWORD": "12345",
        "PURISTA_SERVICES__ENABLED": "Thermo, Fleet",
        "PURISTA_CONFIG__Thermo__limit": "25.5",
        "PURISTA_SOMETHING": "not a setting",
        "HOME": "elsewhere",
    }
    settings = load(write(FILE), profile="cloud", environ=environ, overrides={"bridge": {"keep_alive": 120}})
    bridge = settings.bridge
    assert (bridge.instance_id, bridge.keep_alive, bridge.command_timeout) == ("from_environment", 120, 2.0)
    assert (bridge.insecure, bridge.password) == (True, "12345"), "a text stays a text, whatever it looks like"
    assert settings.services.enabled == ["Thermo", "Fleet"]
    assert fill(Limits, settings.config["Thermo"], settings.source).limit == 25.5


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("1.5s", 1.5), ("2m", 120.0), ("1h", 3600.0), ("30d", 2592000.0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert load(environ={"PURISTA_BRIDGE__COMMAND_TIMEOUT": text}).bridge.command_timeout == seconds
    assert load(environ={}, overrides={"bridge": {"command_timeout": text}}).bridge.command_timeout == seconds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[bridge]\nurll = 'memory://'", "bridge: Object contains unknown field `urll`; did you mean `url`?"),
        ("[brigde]\nurl = 'memory://'", "top level: Object contains unknown field `brigde`; did you mean `bridge`?"),
        ("[bridge]\nkeep_alive = 'often'", "bridge.keep_alive: Expected `int`, got `str`"),
        ("[bridge]\nkeep_alive = 1", "bridge.keep_alive: Expected `int` >= 5"),
        ("[bridge]\ncommand_timeout = 0", "bridge.command_timeout: Expected `float` > 0"),
        ("[bridge]\ncommand_timeout = '5 minutes'", "bridge.command_timeout: Expected `float`, got `str`"),
        ("[bridge]\nlocal_commands = 'never'", "bridge.local_commands: Invalid enum value 'never'"),
        ("[app]\nthreads = 0", "app.threads: Expected `int` >= 1"),
        ("[services]\nenabled = 'Thermo'", "services.enabled: Expected `array"),
        ("config = 3", "config: Expected `object`, got `int`"),
        ("[bridge\nurl = 1", "is no TOML"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_key(write: Write, text: str, words: str) -> None:
    file = write(text)
    with pytest.raises(ConfigError, match=re.escape(words)) as caught:
        load(file, environ={})
    assert str(caught.value).startswith(str(file))


def test_a_wrong_value_of_the_environment_names_its_variable() -> None:
    with pytest.raises(ConfigError, match=r"PURISTA_BRIDGE__KEEP_ALIVE: bridge\.keep_alive: Expected `int`, got `str`"):
        load(environ={"PURISTA_BRIDGE__KEEP_ALIVE": "often"})


def test_a_wrong_value_of_a_profile_names_it(write: Write) -> None:
    file = write("[profile.cloud.bridge]\nkeep_alive = 'often'")
    with pytest.raises(ConfigError, match=r"purista\.toml with profile cloud: bridge\.keep_alive: Expected `int`"):
        load(file, profile="cloud", environ={})


def test_a_table_of_a_service_from_the_environment() -> None:
    environ = {
        "PURISTA_CONFIG__Thermo__label": "123",
        "PURISTA_CONFIG__Thermo__names": "a, b",
        "PURISTA_CONFIG__Thermo__extra": '{"a": 1}',
        "PURISTA_CONFIG__Thermo__limit": "2m",
    }
    found = fill(Limits, load(environ=environ).config["Thermo"], "x")
    assert found == Limits(limit=120.0, names=["a", "b"], label="123", extra={"a": 1})


def test_a_section_of_the_environment_that_is_a_value_as_well() -> None:
    environ = {"PURISTA_CONFIG__Thermo": "1", "PURISTA_CONFIG__Thermo__limit": "2"}
    for order in (environ, dict(reversed(environ.items()))):
        with pytest.raises(ConfigError, match="PURISTA_CONFIG__Thermo"):
            load(environ=order)
    with pytest.raises(ConfigError, match=r"PURISTA_CONFIG__Thermo: config.* Expected `object`, got `str`"):
        load(environ={"PURISTA_CONFIG__Thermo": "1"})


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    with pytest.raises(ConfigError, match=r"missing\.toml does not exist; it was named as the configuration file"):
        load(missing, environ={})
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path, environ={})


def test_an_unknown_profile(write: Write) -> None:
    with pytest.raises(ConfigError, match="has no profile 'edge'; it has: cloud"):
        load(write(FILE), profile="edge", environ={})
    with pytest.raises(ConfigError, match="has no profile 'edge'; it has: none"):
        load(write("[bridge]"), profile="edge", environ={})


def test_secrets_are_not_shown() -> None:
    settings = load(
        environ={"PURISTA_BRIDGE__PASSWORD": "hunter2"}, overrides={"bridge": {"url": "mqtt://me:hunter2@h:1/"}}
    )
    assert settings.bridge.password == "hunter2"
    for shown in (repr(settings), str(settings), repr(settings.bridge), str(settings.bridge), f"{settings.bridge}"):
        assert "hunter2" not in shown
    assert public_url("mqtts://me:pass@h") == "mqtts://…@h"
    assert public_url("mqtts://u:p@ss/word@b:1") == "mqtts://…@b:1", "what should have been written as %40 and %2F"
    with pytest.raises(ConfigError) as caught:
        load(environ={"PURISTA_BRIDGE__PASSWORD": "hunter2", "PURISTA_BRIDGE__KEEP_ALIVE": "x"})
    assert "hunter2" not in str(caught.value)


def test_fill_a_service_s_own_struct() -> None:
    assert fill(Limits, {"limit": "1m"}, "x").limit == 60.0
    with pytest.raises(ConfigError, match=r"^file: config\.Thermo\.names\[1\]: Expected `str`, got `int`$"):
        fill(Limits, {"names": ["a", 1]}, "file", "config.Thermo")


def test_the_state_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert StorageSettings().directory() == tmp_path / "purista-fast"
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/one:/var/lib/two")
    assert StorageSettings().directory() == Path("/var/lib/one")
    assert StorageSettings(state_dir="/data").directory() == Path("/data")


def test_every_setting_has_a_use(tmp_path: Path) -> None:
    plain: dict[str, Any] = {"url": "memory://", "instance_id": "a"}
    assert load(environ={}, overrides={"bridge": plain}).bridge == BridgeSettings(**plain)
    assert Settings().app.drain_timeout == 10.0


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("profile = 3", "profile: Expected sections such as [profile.edge.bridge]"),
        ("[profile]\nedge = 3", "profile.edge: Expected sections such as [profile.edge.bridge]"),
        ("[profile.edge.app]\nworkers = 0", "app.workers: Expected `int` >= 1"),
    ],
)
def test_what_is_no_profile_is_told(tmp_path: Path, text: str, what: str) -> None:
    file = tmp_path / "edge.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        load(file, profile="edge", environ={})
    assert what in str(error.value)
