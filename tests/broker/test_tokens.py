"""Passwords that are made for each connection, and certificates that the broker asks for."""

import itertools
import logging
import time
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from purista_fast import App, BridgeError, ConfigError, Context, Service, connect
from tests.broker.helpers import Bench, cable, until
from tests.mosquitto import Certificates
from tests.patience import patient

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("transport")]
SECRET = "t0ken-of-the-test"


def make_app(token: Any) -> App:
    service = Service("Ping")

    @service.command
    async def ping(ctx: Context) -> str:
        return "pong"

    return App(service, token=token)


async def test_a_token_is_asked_for_before_each_connection(own_bench: Callable[..., Bench]) -> None:
    bench = own_bench(users={"edge": SECRET})
    asked = itertools.count()
    calls: list[int] = []

    async def token() -> str:
        calls.append(next(asked))
        return SECRET

    with cable(bench.broker.port) as wire:
        tree = bench.tree(username="edge", url=f"mqtt://127.0.0.1:{wire.port}")
        app = make_app(token)
        async with app.serve(overrides=tree) as client:
            assert len(calls) == 1, "one session, for there are no subscriptions"
            wire.cut()
            await until(lambda: not client.statistics()["connected"])
            wire.mend()
            await until(lambda: client.statistics()["connected"])
            assert len(calls) >= 2


@pytest.mark.parametrize("kind", ["plain", "lambda to a coroutine"])
async def test_a_plain_function_runs_in_a_thread(own_bench: Callable[..., Bench], kind: str) -> None:
    bench = own_bench(users={"edge": SECRET})

    async def later() -> str:
        await anyio.lowlevel.checkpoint()
        return SECRET

    def plain() -> str:
        time.sleep(0.05)
        return SECRET

    token = plain if kind == "plain" else lambda: later()
    async with connect(overrides=bench.tree(username="edge"), token=token) as client:
        assert client.statistics()["connected"]


async def test_a_token_that_fails_is_an_attempt_that_failed(
    own_bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    bench = own_bench(users={"edge": SECRET})
    outcomes: list[Any] = [ValueError(f"no: {SECRET}"), None, 5, "", "x" * 70_000, SECRET]

    def token() -> Any:
        found = outcomes.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    with caplog.at_level(logging.DEBUG):
        async with connect(overrides=bench.tree(username="edge"), token=token):
            assert not outcomes
    texts = [record.getMessage() for record in caplog.records]
    for text in ("raised ValueError", "not NoneType", "not int", "not str", "more than 65535 bytes"):
        assert any(text in message for message in texts), text
    assert SECRET not in caplog.text


async def test_a_token_that_takes_too_long_ends_the_start(own_bench: Callable[..., Bench]) -> None:
    bench = own_bench(users={"edge": SECRET})

    async def token() -> str:
        await anyio.sleep_forever()
        raise AssertionError

    words = r"no token for the broker at .* gave nothing within"
    with anyio.fail_after(patient(10)), pytest.raises(BridgeError, match=words):
        async with connect(overrides=bench.tree(username="edge", connect_timeout=0.3), token=token):
            pass
    with anyio.fail_after(patient(10)):
        async with connect(overrides=bench.tree(username="edge", wait_for_broker=False), token=token) as client:
            assert not client.statistics()["connected"]


async def test_a_token_excludes_a_password(bench: Bench) -> None:
    def token() -> str:
        return SECRET

    for settings, text in [
        ({"username": "edge", "password": "x"}, "keep one of them"),
        ({"username": "edge", "password_file": "/x"}, "keep one of them"),
        ({"url": bench.broker.url.replace("//", "//edge:x@")}, "keep one of them"),
        ({}, r"bridge\.username is missing"),
    ]:
        with pytest.raises(ConfigError, match=text):
            async with connect(overrides=bench.tree(**settings), token=token):
                pass


async def test_a_broker_that_asks_for_a_certificate(
    own_bench: Callable[..., Bench], certificates: Certificates
) -> None:
    bench = own_bench(tls=certificates, asks_for_certificates=True)
    with pytest.raises(BridgeError, match=r"no (TLS with the )?broker at"):
        async with bench.connect(connect_timeout=0.5):
            pass
    mine = {"cert_file": str(certificates.client), "key_file": str(certificates.client_key)}
    service = Service("Ping")

    @service.command
    async def ping(ctx: Context) -> str:
        return "pong"

    async with bench.serve(service, **mine) as serving, bench.connect(**mine) as client:
        assert await client.invoke(ping) == "pong"
        await anyio.to_thread.run_sync(bench.broker.restart)
        for side in (client, serving):
            await until(lambda side=side: side.statistics()["connected"] and side.statistics()["reconnects"] >= 1)
        assert await client.invoke(ping) == "pong"
