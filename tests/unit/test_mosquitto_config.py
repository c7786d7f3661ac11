"""What `purista-fast mosquitto config` writes, and what the doctor reads in configurations."""

import stat
from pathlib import Path
from typing import Any

import pytest

from purista_fast.config import BridgeSettings
from purista_fast.doctor.files import check_configuration
from purista_fast.mosquitto import passwords, reader
from purista_fast.mosquitto.acl import Rules
from tests.broker.configured import run_in


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs ``purista-fast mosquitto config glasshouse:app`` with more arguments."""

    def run(*arguments: str, **options: Any) -> Any:
        return run_in(tmp_path, monkeypatch, "mosquitto", "config", *arguments, **options)

    return run


def options_of(folder: Path) -> dict[str, str]:
    found = reader.read(folder / "mosquitto" / "mosquitto.conf")
    return {name: option.value for name, option in found.options.items()}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_promises_are_in_the_file(write: Any, tmp_path: Path) -> None:
    assert write("glasshouse:app").exit_code == 0
    options = options_of(tmp_path)
    assert options["persistence"] == "true"
    assert options["persistence_location"] == f"{tmp_path}/mosquitto/data/"
    assert (options["autosave_interval"], options["autosave_on_changes"]) == ("10", "false")
    assert options["max_queued_messages"] == "100000"
    assert options["max_queued_bytes"] == str(256 * 1024 * 1024)
    assert options["max_packet_size"] == str(BridgeSettings().max_packet_size)
    assert options["persistent_client_expiration"] == "31d"
    assert options["set_tcp_nodelay"] == "true"
    assert int(options["max_keepalive"]) > BridgeSettings().keep_alive
    assert options["allow_anonymous"] == "false"
    found = reader.read(tmp_path / "mosquitto" / "mosquitto.conf")
    assert [str(listener) for listener in found.listeners] == ["listener 1883 127.0.0.1"]
    # The doctor has nothing to say about it.
    assert {finding.level for finding in check_configuration(found, BridgeSettings(), 60.0)} == {"ok"}


def test_settings_and_options_are_followed(write: Any, tmp_path: Path) -> None:
    (tmp_path / "purista.toml").write_text(
        '[bridge]\nmax_packet_size = 5000\nsession_expiry = "90d"\nkeep_alive = 100\nprefix = "plant"\n'
    )
    arguments = [
        "--save-every",
        "1m",
        "--queue-messages",
        "5000",
        "--queue-bytes",
        "2MiB",
        "--data",
        str(tmp_path / "db"),
    ]
    assert write("glasshouse:app", *arguments).exit_code == 0
    options = options_of(tmp_path)
    assert options["max_packet_size"] == "5000"
    assert options["persistent_client_expiration"] == "91d"
    assert options["max_keepalive"] == "200"
    assert options["autosave_interval"] == "60"
    assert (options["max_queued_messages"], options["max_queued_bytes"]) == ("5000", str(2 * 1024 * 1024))
    assert (tmp_path / "db").is_dir()
    assert "pattern write plant/+/+/+/%u/#" in (tmp_path / "mosquitto" / "acl").read_text()
    assert write("--save-on-changes", "--force").exit_code == 0
    options = options_of(tmp_path)
    assert (options["autosave_interval"], options["autosave_on_changes"]) == ("1", "true")


def test_each_line_has_its_reason(write: Any, tmp_path: Path) -> None:
    certificates = ("--certfile", "cert.pem", "--keyfile", "key.pem", "--cafile", "ca.pem")
    assert write("glasshouse:app", "--mtls", *certificates).exit_code == 0
    blocks = (tmp_path / "mosquitto" / "mosquitto.conf").read_text().split("\n\n")
    assert all(block.startswith("# ") and "\n" in block for block in blocks)
    assert max(map(len, "\n\n".join(blocks).splitlines())) <= 120 + len(str(tmp_path))


def test_rules_follow_from_the_services(write: Any, tmp_path: Path) -> None:
    arguments = ("--instance", "edge=glasshouse:edge", "--instance", "all", "--client", "ops")
    assert write("glasshouse:app", *arguments).exit_code == 0
    rules = Rules.parse((tmp_path / "mosquitto" / "acl").read_text())

    def may(user: str, access: Any, topic: str) -> bool:
        return rules.allow(access, topic, user=user)

    event = "purista/custom_message/none/none/{}/thermo/1/store/reading_stored/none/none/none/none"
    assert may("edge", "write", event.format("edge"))
    assert not may("edge", "write", event.format("all"))
    # `edge` has the command of Thermo, and no subscription to its event.
    store = "purista/command/none/none/x/client/1/client/none/none/thermo/1/store"
    ask = "purista/command/none/none/x/client/1/client/none/none/hall/1/ask"
    assert [may("edge", "read", topic) for topic in (store, ask, event.format("x"))] == [True, False, False]
    assert [may("all", "read", topic) for topic in (store, ask, event.format("x"))] == [True, True, True]
    # The forms of 13 and 12 levels of the info messages that a subscription wants.
    for rest in ("none/none/none/none/none", "none/none/none/none/none/none"):
        assert may("all", "read", f"purista/info_service_ready/none/none/x/svc/1/{rest}")
    answer = "purista/command_success_response/none/none/x/svc/1/c/none/{}/svc/1/c"
    assert may("edge", "read", answer.format("edge"))
    assert not may("edge", "read", answer.format("all"))
    for user, marker in (("edge", True), ("all", False), ("ops", False)):
        assert may(user, "write", "purista_fast/purista/marker/edge") is marker
    assert may("ops", "write", "purista/command/none/none/x1/command_line/1/invoke/none/none/thermo/1/store")
    assert not may("ops", "write", event.format("edge"))
    assert may("ops", "read", event.format("edge"))
    assert not may("", "read", event.format("edge"))
    assert not may("stranger", "read", event.format("edge"))


def test_workers_have_rules_of_their_own(write: Any, tmp_path: Path) -> None:
    (tmp_path / "workers.toml").write_text("[app]\nworkers = 2\n")
    settings = ("glasshouse:app", "--config", str(tmp_path / "workers.toml"))
    refused = write(*settings)
    assert refused.exit_code == 2
    assert "app.workers: each worker has an id of its own" in refused.output
    assert write(*settings, "--instance", "edge").exit_code == 0
    rules = Rules.parse((tmp_path / "mosquitto" / "acl").read_text())
    for instance, is_own in (("edge", True), ("edge_1", True), ("edge_2", True), ("edge_3", False)):
        for access, topic in (
            ("write", f"purista/custom_message/none/none/{instance}/thermo/1/store/a/none/none/none/none"),
            ("read", f"purista/command_success_response/none/none/x/svc/1/c/none/{instance}/svc/1/c"),
            ("write", f"purista_fast/purista/marker/{instance}"),
        ):
            assert rules.allow(access, topic, user="edge") is is_own, (access, topic)  # type: ignore[arg-type]


def test_without_an_application_the_rules_are_wider(write: Any, tmp_path: Path) -> None:
    assert write().exit_code == 0
    rules = Rules.parse((tmp_path / "mosquitto" / "acl").read_text())
    topic = "purista/custom_message/none/none/{}/thermo/1/store/reading_stored/none/none/none/none"
    assert rules.allow("read", topic.format("b"), user="a")
    assert rules.allow("write", topic.format("a"), user="a")
    assert not rules.allow("write", topic.format("b"), user="a")


def test_nothing_is_overwritten_unasked(write: Any, tmp_path: Path) -> None:
    assert write().exit_code == 0
    (tmp_path / "mosquitto" / "passwords").write_text("somebody:hash\n")
    refused = write()
    assert refused.exit_code == 2
    assert "mosquitto.conf" in refused.stderr
    assert "--force" in refused.stderr
    assert write("--force").exit_code == 0
    # Passwords are not replaced by an empty file.
    assert (tmp_path / "mosquitto" / "passwords").read_text() == "somebody:hash\n"


def test_generated_passwords(write: Any, tmp_path: Path) -> None:
    result = write("glasshouse:app", "--instance", "edge", "--client", "ops", "--passwords", "generate")
    assert result.exit_code == 0, result.output
    folder = tmp_path / "mosquitto"
    secrets = {user: (folder / "secrets" / user).read_text().strip() for user in ("edge", "ops")}
    assert secrets["edge"] != secrets["ops"]
    texts = result.output + "".join((folder / name).read_text() for name in ("mosquitto.conf", "acl", "passwords"))
    assert not any(secret in texts for secret in secrets.values())
    assert [line.partition(":$")[0] for line in (folder / "passwords").read_text().splitlines()] == ["edge", "ops"]
    assert mode(folder / "secrets") == 0o700
    assert {mode(folder / "secrets" / user) for user in secrets} == {0o600}
    assert {mode(folder / name) for name in ("mosquitto.conf", "acl", "passwords")} <= {0o600, 0o640}
    assert sorted(path.name for path in folder.iterdir()) == ["acl", "data", "mosquitto.conf", "passwords", "secrets"]
    # Once more, for one more: those who have a password keep it.
    more = ("--instance", "edge", "--instance", "attic", "--passwords", "generate", "--force")
    assert write("glasshouse:app", *more).exit_code == 0
    assert (folder / "secrets" / "edge").read_text().strip() == secrets["edge"]
    assert (folder / "secrets" / "attic").exists()
    # Who was in the file and is not named stays.
    users = [line.partition(":")[0] for line in (folder / "passwords").read_text().splitlines()]
    assert users == ["edge", "attic", "ops"]


def test_passwords_from_a_file_or_asked_for(write: Any, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("# ours\nedge:first:part\nother:x\n")
    result = write("--instance", "edge", "--passwords", str(tmp_path / "list"))
    assert result.exit_code == 0, result.output
    text = (tmp_path / "mosquitto" / "passwords").read_text()
    assert text.startswith("edge:$")
    assert "first:part" not in text
    assert not (tmp_path / "mosquitto" / "secrets").exists()
    missing = write("--instance", "attic", "--passwords", str(tmp_path / "list"), "--force")
    assert missing.exit_code == 2
    assert "no password for attic" in missing.stderr
    assert "first" not in missing.output
    asked = write("--instance", "edge", "--passwords", "prompt", "--force", input="s3cret\ns3cret\n")
    assert asked.exit_code == 0, asked.output
    assert "s3cret" not in asked.output + (tmp_path / "mosquitto" / "passwords").read_text()


def test_a_missing_mosquitto_passwd_is_said(write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords.shutil, "which", lambda *_args, **_named: None)
    result = write("--instance", "edge", "--passwords", "generate")
    assert result.exit_code == 2
    assert "mosquitto_passwd is missing" in result.stderr
    assert "apt install mosquitto" in result.stderr
    assert not (tmp_path / "mosquitto").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--anonymous", "--tls", "--certfile", "c", "--keyfile", "k"], "--anonymous holds for every listener"),
        (["--tls"], "--certfile and --keyfile"),
        (["--mtls", "--certfile", "c", "--keyfile", "k"], "--cafile"),
        (["--port", "0"], "listen nowhere"),
        (["--instance", "green-house"], "green_house"),
        (["--instance", "a b"], "letters, digits"),
        (["--instance", "a", "--instance", "a"], "twice"),
        (["--client", "x#y"], "letters, digits"),
        (["--passwords", "generate"], "for whom?"),
        (["--anonymous", "--passwords", "generate"], "nobody logs in"),
        (["--save-every", "0s"], "10s"),
        (["--queue-bytes", "1"], "256MiB"),
        (["nowhere:app"], "no module"),
    ],
)
def test_what_cannot_work_is_refused(write: Any, tmp_path: Path, arguments: list[str], says: str) -> None:
    result = write(*arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert not (tmp_path / "mosquitto" / "mosquitto.conf").exists()
