"""The command line within this process: what it prints, and its exit codes."""

import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from purista_fast import BridgeError, ConfigError, DefinitionError, HandledError, __version__
from purista_fast.cli.commands import main
from purista_fast.cli.describe import type_name
from purista_fast.cli.failures import explain
from purista_fast.cli.logs import OneLine
from purista_fast.cli.output import printable

Run = Callable[..., Result]

GREENHOUSE = '''
from msgspec import Struct
from purista_fast import App, Context, Event, HandledError, Service, StatusCode

class Reading(Struct):
    sensor: str
    celsius: float

class Stored(Struct):
    sensor: str
    site: str
    principal: str | None = None
    tenant: str | None = None
    trace: str = ""

class Config(Struct):
    limit: float = 30.0

stored = Event("readingStored", Stored)
thermo = Service("Thermo", description="Keeps what the thermometers say", config=Config)

@thermo.command(success_event=stored)
async def store_reading(ctx: Context, payload: Reading, *, site: str = "home") -> Stored:
    """Keeps a reading."""
    if payload.celsius < -273.15:
        raise HandledError(StatusCode.BAD_REQUEST, "colder than possible", {"celsius": payload.celsius})
    return Stored(payload.sensor, site, ctx.principal_id, ctx.tenant_id, ctx.trace_id)

@thermo.command
async def ping(ctx: Context) -> str:
    return "pong"

@thermo.command
async def strange(ctx: Context, *, payload: int) -> int:
    return payload

@thermo.command
async def echo(ctx: Context, payload):
    return payload

@thermo.command
def crash(ctx: Context) -> None:
    raise RuntimeError("boom")

@thermo.subscription(stored, shared=False)
async def watch(ctx: Context, payload: Stored) -> None: ...

@thermo.every(0.5)
async def tick(ctx: Context) -> None: ...

app = App(thermo)
'''


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs the command line in a folder with an application."""
    (tmp_path / "greenhouse.py").write_text(GREENHOUSE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    known = set(sys.modules)

    def invoke(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(main, arguments, input=stdin)

    yield invoke
    for name in set(sys.modules) - known:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def failure(result: Result, code: int) -> str:
    """The one line on standard error."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("purista-fast: ")
    return lines[0].removeprefix("purista-fast: ")


def test_version_and_help(run: Run) -> None:
    assert run("--version").stdout == f"purista-fast {__version__}\n"
    for arguments in ((), ("--help",), ("-h",)):
        result = run(*arguments)
        assert result.exit_code == 0
        for command in ("run", "invoke", "emit", "listen", "inspect", "outbox", "dead-letters", "demo"):
            assert f"\n  {command} " in result.stdout


@pytest.mark.parametrize("command", ["run", "invoke", "emit", "listen", "inspect", "demo"])
def test_each_command_has_help(run: Run, command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"purista-fast {command}" in result.stdout.replace("main", "purista-fast")
    assert "--verbose" in result.stdout


def test_invoke_prints_the_result_as_json(run: Run) -> None:
    result = run("invoke", "--app", "greenhouse:app", "Thermo/1/store_reading", '{"sensor": "a", "celsius": 1}')
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    assert len(result.stdout.splitlines()) == 1
    assert json.loads(result.stdout)["site"] == "home"


def test_invoke_with_parameter_and_origin(run: Run) -> None:
    options = ["--principal", "ann", "--tenant", "acme", "--trace", "t1", "--parameter", '{"site": "attic"}']
    result = run("invoke", "--app", "greenhouse:app", *options, "Thermo/1/store_reading", '{"sensor":"a","celsius":1}')
    expected = {"sensor": "a", "site": "attic", "principal": "ann", "tenant": "acme", "trace": "t1"}
    assert json.loads(result.stdout) == expected


def test_invoke_without_payload_and_from_standard_input(run: Run) -> None:
    assert run("invoke", "--app", "greenhouse:app", "Thermo/1/ping").stdout == '"pong"\n'
    result = run("invoke", "--app", "greenhouse:app", "Thermo/1/echo", "-", stdin='{"ü": [1, null]}')
    assert json.loads(result.stdout) == {"ü": [1, None]}
    assert run("invoke", "--app", "greenhouse:app", "Thermo/1/echo", "null").stdout == "null\n"


def test_a_parameter_may_be_called_payload(run: Run) -> None:
    result = run("invoke", "--app", "greenhouse:app", "Thermo/1/strange", "--parameter", '{"payload": 7}')
    assert result.stdout == "7\n", result.output


def test_a_handled_error_is_one_line_and_code_1(run: Run) -> None:
    payload = '{"sensor": "a", "celsius": -300}'
    result = run("invoke", "--app", "greenhouse:app", "--trace", "t1", "Thermo/1/store_reading", payload)
    assert failure(result, 1) == '400 colder than possible {"celsius":-300.0} (trace t1)'


def test_wrong_input_is_listed(run: Run) -> None:
    text = failure(run("invoke", "--app", "greenhouse:app", "Thermo/1/store_reading", '{"sensor": 1}'), 1)
    assert text.startswith("400 input validation for payload failed:")
    assert '"path":["sensor"]' in text
    assert '"path":["celsius"]' in text


def test_a_crash_and_an_unknown_command(run: Run) -> None:
    assert failure(run("invoke", "--app", "greenhouse:app", "Thermo/1/crash"), 1).startswith("500 Internal Server")
    text = failure(run("invoke", "--app", "greenhouse:app", "Thermo/1/nope"), 1)
    assert text.startswith("502 nobody serves Thermo/1/nope")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["bogus"], "No such command 'bogus'"),
        (["run"], "Missing argument 'MODULE:APP'"),
        (["run", "greenhouse"], "'greenhouse' is not of the form module:app, such as greenhouse:app"),
        (["run", "greenhouse.py"], "such as greenhouse:app"),
        (["run", "./lib/green.py:"], "such as lib.green:app"),
        (["run", "nowhere:app"], "there is no module 'nowhere' in the current folder or installed"),
        (["run", "greenhouse.nowhere:app"], "there is no module 'greenhouse"),
        (["run", "greenhouse:application"], "no 'application'; it has greenhouse:app"),
        (["run", "greenhouse:thermo"], "greenhouse:thermo is a Service, not an App; it has greenhouse:app"),
        (["run", "greenhouse:app", "--backend", "curio"], "'curio' is not one of 'asyncio', 'trio'"),
        (["run", "greenhouse:app", "--config", "nix.toml"], "nix.toml does not exist"),
        (["run", "greenhouse:app", "--profile", "nix"], "has no profile 'nix'"),
        (["run", "greenhouse:app", "--bridge", "carrier://pigeon"], "begins with none of memory://"),
        (["inspect", "nowhere:app"], "there is no module 'nowhere'"),
        (["invoke", "Thermo/ping"], "'Thermo/ping' is not of the form Service/version/command"),
        (["invoke", "Thermo/1/ping", "{"], "the payload is no JSON"),
        (["invoke", "Thermo/1/ping", "--parameter", "[1]"], "the parameter must be a JSON object"),
        (["invoke", "Thermo/1/ping", "--timeout", "0"], "--timeout"),
        (["invoke", "Thermo/1/ping"], "memory:// ends with this process, so there is nobody to reach"),
        (["invoke", "Thermo/1/ping", "--app", "nowhere:app"], "there is no module 'nowhere'"),
        (["emit", "hello", "nope"], "the payload is no JSON"),
        (["emit", "hello", "1"], "nobody to reach"),
        (["emit", "#"], "'#' cannot be part of a topic"),
        (["listen"], "nobody to reach"),
        (["listen", "--count", "0"], "--count"),
        (["demo", "--seconds", "0"], "--seconds"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(run: Run, arguments: list[str], expected: str) -> None:
    assert expected in failure(run(*arguments), 2)


def test_a_setting_that_is_wrong(run: Run) -> None:
    Path("purista.toml").write_text("[config.Thermo]\nlimti = 3\n")
    text = failure(run("invoke", "--app", "greenhouse:app", "Thermo/1/ping"), 2)
    assert text.startswith("purista.toml: config.Thermo: Object contains unknown field `limti`")
    assert "did you mean `limit`?" in text


def test_a_module_that_fails_to_import(run: Run) -> None:
    Path("broken.py").write_text("raise RuntimeError('not\\ntoday')\n")
    text = failure(run("run", "broken:app"), 1)
    assert text == "RuntimeError: not\\ntoday (broken.py:1); --verbose shows the traceback"
    Path("lacking.py").write_text("import nowhere_at_all\n")
    assert "No module named 'nowhere_at_all'" in failure(run("run", "lacking:app"), 1)
    Path("undefined.py").write_text("from purista_fast import Service\nService('')\n")
    assert "the name of a service" in failure(run("run", "undefined:app"), 2)


def test_verbose_shows_the_traceback(run: Run) -> None:
    Path("broken.py").write_text("raise RuntimeError('today\\x1b')\n")
    result = run("run", "broken:app", "--verbose")
    assert result.exit_code == 1
    assert "Traceback (most recent call last):" in result.stderr
    assert 'broken.py", line 1' in result.stderr
    assert "\x1b" not in result.stderr


def test_a_bridge_that_is_not_there_is_code_3(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PURISTA_BRIDGE__CONNECT_TIMEOUT", "0.2")
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    for command in (["emit", "hello"], ["invoke", "Thermo/1/ping"], ["listen"], ["run", "greenhouse:app"]):
        text = failure(run(*command, "--bridge", "mqtt://127.0.0.1:1"), 3)
        assert text.startswith("no broker at 127.0.0.1:1: Connection refused"), command


def test_emit_within_an_application(run: Run) -> None:
    result = run("emit", "--app", "greenhouse:app", "hello", '{"a": 1}')
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_inspect_as_a_table(run: Run) -> None:
    result = run("inspect", "greenhouse:app")
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[0] == "Thermo/1 Keeps what the thermometers say"
    assert "config limit float = 30.0" in lines
    assert "command store_reading (Reading, site: str = 'home') → Stored emits readingStored" in lines
    assert "$share/sharedpurista/purista/command/+/+/+/+/+/+/+/+/thermo/1/store_reading" in lines
    assert "timer tick every 0.5 s" in lines
    subscription = next(line for line in lines if line.startswith("subscription watch"))
    assert "eventName readingStored" in subscription
    assert "every instance" in subscription


def test_inspect_as_json(run: Run) -> None:
    Path("purista.toml").write_text('[bridge]\nprefix = "garden"\n[services]\nenabled = []\n')
    found = json.loads(run("inspect", "greenhouse:app", "--json").stdout)
    (service,) = found["services"]
    assert (service["name"], service["version"], service["enabled"]) == ("Thermo", "1", False)
    assert service["config"] == [{"name": "limit", "type": "float", "default": "30.0"}]
    commands = {command["name"]: command for command in service["commands"]}
    store = commands["store_reading"]
    assert store["description"] == "Keeps a reading."
    assert store["payloadSchema"]["$defs"]["Reading"]["required"] == ["sensor", "celsius"]
    assert store["parameterTypes"] == ["site: str = 'home'"]
    assert store["resultType"] == "Stored"
    assert store["topicFilter"].startswith("$share/sharedpurista/garden/command/")
    assert commands["crash"]["runsInThread"]
    (subscription,) = service["subscriptions"]
    assert subscription["topicFilters"] == ["garden/+/+/+/+/+/+/+/reading_stored/+/+/+/+"]
    assert subscription["messageTypes"] == ["customMessage", "commandSuccessResponse"]
    assert [timer["interval"] for timer in service["timers"]] == [0.5]


def test_inspect_of_a_batch(run: Run) -> None:
    Path("batched.py").write_text("""
from purista_fast import App, Batch, Context, Event, Service

service = Service("Store")

@service.subscription(Event("measured", float), batch=Batch(100, within=5.0))
async def write(ctx: Context, values: list[float]) -> None: ...

app = App(service)
""")
    assert "float, eventName measured" in run("inspect", "batched:app").stdout
    assert "up to 100 together within 5 s" in run("inspect", "batched:app").stdout
    (service,) = json.loads(run("inspect", "batched:app", "--json").stdout)["services"]
    (subscription,) = service["subscriptions"]
    assert subscription["batch"] == {"maxItems": 100, "within": 5.0}
    assert subscription["payloadType"] == "float", "of one message"


def test_type_names() -> None:
    assert type_name(list[Path | None]) == "list[Path | null]"
    assert type_name(Path) == "Path"


def test_exit_codes() -> None:
    assert explain(ConfigError("c")) == ("c", 2)
    assert explain(DefinitionError("d")) == ("d", 2)
    assert explain(BridgeError("b")) == ("b", 3)
    assert explain(HandledError(409, "taken", {"id": {1}}))[0].startswith("409 taken ")


def test_nothing_printed_can_steer_a_terminal() -> None:
    assert printable("a\x1b[31m\r\nü→\x9b\u202e") == "a\\x1b[31m\\r\\nü→\\x9b\\u202e"


def test_a_log_record_is_one_line() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("thermo", logging.ERROR, __file__, 1, "failed\n%s", ("twice",), info)
    text = OneLine().format(record)
    assert "\n" not in text
    assert "ERROR   thermo: failed\\ntwice [ValueError: first\\nsecond at test_cli.py:" in text
    assert "Traceback (most recent call last)" in OneLine(tracebacks=True).format(record)


def test_a_traceback_cannot_steer_a_terminal() -> None:
    try:
        raise ValueError("\x1b[2J\0<0>")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("thermo", logging.ERROR, __file__, 1, "failed", (), info)
    first, *_, last = OneLine(tracebacks=True, journal=True).format(record).split("\n")
    assert (first, last) == ("<3>thermo: failed", "<3>ValueError: \\x1b[2J\\x00<0>")
