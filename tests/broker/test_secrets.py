"""Secrets are in no log, error, traceback or report, whatever goes wrong."""

import io
import json
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import msgspec
import pytest

from purista_fast import App, BridgeError, ConfigError, Context, Service, connect
from purista_fast.bridges.mqtt.broker import Broker
from purista_fast.config import load
from tests.broker.helpers import Bench, cable, until
from tests.mosquitto import Certificates, free_port

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("transport")]
SECRET = "hush-Sw0rdfish"
"""What must be nowhere."""


def make_app(token: Any = None) -> App:
    service = Service("Ping")

    @service.command
    async def ping(ctx: Context) -> str:
        return "pong"

    return App(service, token=token)


@contextmanager
def everything_logged() -> Iterator[io.StringIO]:
    """All that any logger says, with tracebacks."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s %(args)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield written
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def whole(error: BaseException) -> str:
    """An error with its traceback, its causes, and what those say of themselves."""
    seen: list[str] = ["".join(traceback.format_exception(error))]
    link: BaseException | None = error
    while link is not None:
        seen += [str(link), repr(link), repr(link.args)]
        link = link.__cause__ or link.__context__
    return "\n".join(seen)


@pytest.mark.parametrize(
    "given",
    [
        {"username": "edge", "password": SECRET},
        {"url": "mqtt://edge:{secret}@127.0.0.1:{port}"},
        {"username": "edge", "password_file": "{file}"},
        {"username": "edge", "token": True},
        {"username": "edge", "raising": True},
    ],
    ids=["password", "url", "file", "token", "raising token"],
)
async def test_a_refused_login(own_bench: Callable[..., Bench], tmp_path: Path, given: dict[str, Any]) -> None:
    bench = own_bench(users={"edge": "another"})
    (tmp_path / "password").write_text(SECRET)
    places = {"secret": SECRET, "port": bench.broker.port, "file": tmp_path / "password"}
    settings = {key: value.format(**places) if isinstance(value, str) else value for key, value in given.items()}
    token = None

    def give() -> str:
        return SECRET

    def fail() -> str:
        raise ValueError(SECRET)

    if settings.pop("token", False):
        token = give
    if settings.pop("raising", False):
        token = fail
    with everything_logged() as written:
        with pytest.raises(BridgeError) as caught:
            async with make_app(token).serve(overrides=bench.tree(**settings, connect_timeout=0.5)):
                pass
        logging.getLogger("test").error("as a user would log it", exc_info=caught.value)
    assert SECRET not in whole(caught.value)
    assert SECRET not in written.getvalue()
    expected = "no token for the broker" if token is fail else "check bridge.username"
    assert expected in str(caught.value)


async def test_no_broker_and_lost_connections(own_bench: Callable[..., Bench]) -> None:
    bench = own_bench(users={"edge": SECRET})
    with everything_logged() as written:
        nowhere = f"mqtt://edge:{SECRET}@127.0.0.1:{free_port()}"
        with pytest.raises(BridgeError) as caught:
            async with make_app().serve(overrides=bench.tree(url=nowhere, connect_timeout=0.2)):
                pass
        with cable(bench.broker.port) as wire:
            url = f"mqtt://edge:{SECRET}@127.0.0.1:{wire.port}"
            async with make_app().serve(overrides=bench.tree(url=url)) as client:
                wire.cut()
                await until(lambda: not client.statistics()["connected"])
                wire.mend()
                await until(lambda: client.statistics()["connected"])
                shown = [client.health(), msgspec.json.encode(client.health()), client.statistics(), client, vars]
                assert all(SECRET not in str(item) and SECRET not in repr(item) for item in shown)
    assert SECRET not in whole(caught.value)
    assert SECRET not in written.getvalue()


@pytest.mark.parametrize(
    "url",
    [
        "mqtt://edge:{}@",
        "mqtt://edge:{}@:99999",
        "mqtt://edge:{}@127.0.0.1:x",
        "mqtt://edge:{}@127.0.0.1/path",
        "mqtt://edge:a/{}@127.0.0.1",
        "mqtt://edge:{}/b@127.0.0.1",
        "mqtt://edge:{}?b@127.0.0.1",
        "mqtt://edge:{}#b@127.0.0.1",
        "mqtt://edge:a@{}@broker.example",
        "mqtt://edge:{}@broker.example",
        "mqtt://edge:{}@[::1",
        "mqtt://edge:{}\u2100@127.0.0.1",
        "htpp://edge:{}@127.0.0.1",
        "mqtts://edge:{}@127.0.0.1?x=1",
    ],
)
async def test_urls_that_are_none(tmp_path: Path, url: str) -> None:
    made = url.format(SECRET)
    with everything_logged() as written, pytest.raises(ConfigError) as caught:
        async with make_app().serve(overrides={"bridge": {"url": made}, "storage": {"state_dir": str(tmp_path)}}):
            pass
    assert SECRET not in whole(caught.value)
    assert SECRET not in written.getvalue()


async def test_a_key_with_a_passphrase(own_bench: Callable[..., Bench], certificates: Certificates) -> None:
    """It is refused without asking for it on a terminal."""
    bench = own_bench(tls=certificates)
    key = certificates.client_key.with_name("locked.key")
    command = ["openssl", "pkey", "-in", str(certificates.client_key), "-aes256", "-passout", f"pass:{SECRET}"]
    subprocess.run([*command, "-out", str(key)], check=True, capture_output=True)  # noqa: ASYNC221 - short
    with pytest.raises(ConfigError, match=r"bridge\.cert_file .* cannot be used") as caught:
        async with connect(overrides=bench.tree(cert_file=str(certificates.client), key_file=str(key))):
            pass
    assert SECRET not in whole(caught.value)


async def test_what_shows_settings_shows_no_secret() -> None:
    settings = load(
        environ={"PURISTA_BRIDGE__PASSWORD": SECRET, "PURISTA_BRIDGE__USERNAME": "edge"},
        overrides={"bridge": {"url": "mqtts://127.0.0.1"}},
    )

    def token() -> str:
        return SECRET

    made = Broker.of(settings.bridge)
    asking = Broker.of(load(environ={}, overrides={"bridge": {"url": "mqtts://h", "username": "edge"}}).bridge, token)
    for item in (settings, settings.bridge, made, asking):
        assert SECRET not in f"{item}{item!r}{item!s}"
    with pytest.raises(ConfigError) as caught:
        load(environ={"PURISTA_BRIDGE__PASSWORD": SECRET, "PURISTA_BRIDGE__PASSWORD__X": SECRET})
    assert SECRET not in whole(caught.value)


async def test_the_command_line(own_bench: Callable[..., Bench], tmp_path: Path) -> None:
    bench = own_bench(users={"edge": "another"})
    url = f"mqtt://edge:{SECRET}@127.0.0.1:{bench.broker.port}"
    (tmp_path / "node.py").write_text(
        "from purista_fast import App, Service\napp = App(Service('Ping'))\n", encoding="utf-8"
    )
    environment = {**os.environ, "PURISTA_BRIDGE__CONNECT_TIMEOUT": "0.5", "STATE_DIRECTORY": str(tmp_path)}

    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "purista_fast.cli", *arguments]
        done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment, check=False, timeout=60)
        return json.dumps([done.stdout.decode(), done.stderr.decode(), done.returncode])

    for arguments in (
        ["run", "node:app", "--verbose"],
        ["invoke", "Ping/1/ping", "--verbose"],
        ["emit", "x", "--verbose"],
        ["alive", "--verbose"],
        ["health", "--verbose"],
        ["retire", "node:app", "--verbose"],
        ["inspect", "node:app", "--json", "--verbose"],
        ["listen", "--verbose"],
    ):
        output = await anyio.to_thread.run_sync(run, *arguments, "--bridge", url)
        assert SECRET not in output, arguments
