"""A start that does not wait for the broker."""

import logging
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from purista_fast import BridgeError, ConfigError, Context, Event, Service
from tests.broker.helpers import Bench, until
from tests.mosquitto import Certificates, Mosquitto, free_port
from tests.patience import patient

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("transport")]
happened = Event("happened", int)


class Watch:
    """A service with a command and a subscription."""

    def __init__(self) -> None:
        self.service = Service("Watch")
        self.seen: list[int] = []

        @self.service.command
        async def echo(ctx: Context, payload: int) -> int:
            return payload

        @self.service.subscription(happened)
        async def on(ctx: Context, payload: int) -> None:
            self.seen.append(payload)

        self.echo = echo


async def test_it_serves_as_soon_as_there_is_a_broker(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    late = Mosquitto(tmp_path / "broker")
    (tmp_path / "broker").mkdir()
    bench, watch = Bench(late, tmp_path / "state"), Watch()
    try:
        with anyio.fail_after(patient(20)), caplog.at_level(logging.WARNING):
            async with bench.serve(watch.service, wait_for_broker=False) as serving:
                assert not serving.statistics()["connected"]
                assert serving.statistics()["connected_for"] is None
                await serving.emit(happened, 0)
                assert serving.health().outbox.messages == 1
                assert any("started without it" in record.getMessage() for record in caplog.records)
                await anyio.to_thread.run_sync(late.start)
                await until(lambda: serving.statistics()["connected"])
                assert serving.statistics()["reconnects"] == 0, "the first connection is none"
                async with bench.connect() as client:
                    assert await client.invoke(watch.echo, 7) == 7
                    await client.emit(happened, 1)
                await until(lambda: sorted(watch.seen) == [0, 1])
    finally:
        await anyio.to_thread.run_sync(late.stop)


@pytest.mark.parametrize("url", ["mqtt://127.0.0.1:{port}", "mqtt://no-such-host.invalid"])
async def test_nothing_there_is_no_reason_not_to_start(bench: Bench, url: str) -> None:
    watch = Watch()
    settings = {"url": url.format(port=free_port()), "wait_for_broker": False, "insecure": True}
    with anyio.fail_after(patient(10)):
        async with bench.serve(watch.service, local_commands="prefer", **settings) as client:
            assert await client.invoke(watch.echo, 3) == 3, "what is served here needs no broker"


async def test_a_broker_that_says_nothing_holds_the_start_up_for_a_moment_only(
    own_bench: Callable[..., Bench],
) -> None:
    bench, watch = own_bench(), Watch()
    with anyio.fail_after(patient(30)):
        with bench.broker.paused():
            began = anyio.current_time()
            async with bench.serve(watch.service, wait_for_broker=False, connect_timeout=20.0) as client:
                assert anyio.current_time() - began < 15, "an attempt may take 20 s"
                assert not client.statistics()["connected"]


async def test_what_is_final_ends_the_start(own_bench: Callable[..., Bench], certificates: Certificates) -> None:
    bench = own_bench(users={"edge": "s3cret"})
    with pytest.raises(BridgeError, match=r"refuses: .*Not authorized"):
        async with bench.serve(Watch().service, wait_for_broker=False, username="edge", password="wr0ng"):
            pass
    with pytest.raises(ConfigError, match="password_file"):
        async with bench.serve(Watch().service, wait_for_broker=False, username="edge", password_file="/not/there"):
            pass
    bench = own_bench(tls=certificates)
    with pytest.raises(BridgeError, match="is not trusted"):
        async with bench.serve(Watch().service, wait_for_broker=False, ca_file=None):
            pass


async def test_what_is_final_later_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "broker").mkdir()
    late, watch = Mosquitto(tmp_path / "broker", users={"edge": "s3cret"}), Watch()
    bench = Bench(late, tmp_path / "state")
    (tmp_path / "password").write_text("wr0ng")
    login = {"username": "edge", "password_file": str(tmp_path / "password")}
    try:
        with caplog.at_level(logging.WARNING):
            async with bench.serve(watch.service, wait_for_broker=False, **login) as serving:
                await anyio.to_thread.run_sync(late.start)
                await until(lambda: any("Not authorized" in record.getMessage() for record in caplog.records))
                (tmp_path / "password").write_text("s3cret")
                await until(lambda: serving.statistics()["connected"])
    finally:
        await anyio.to_thread.run_sync(late.stop)
