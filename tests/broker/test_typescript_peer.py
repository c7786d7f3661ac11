"""A process in another language, as far as the broker can tell: see ``typescript_peer.py``."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from purista_fast import Context, Event, HandledError, Service, remote
from tests.broker.helpers import Bench, until
from tests.mosquitto import Mosquitto

pytestmark = pytest.mark.anyio


@remote("EmailService", "1", name="sendEmail")
async def send_email(ctx: Context, payload: dict[str, str], *, lang: str = "none") -> dict[str, Any]: ...


@remote("EmailService", "1")
async def relay(ctx: Context, payload: str) -> str: ...


@pytest.fixture(scope="module")
def peer(shared_broker: Mosquitto) -> Iterator[None]:
    """The other process, once it serves."""
    script = Path(__file__).with_name("typescript_peer.py")
    process = subprocess.Popen(
        [sys.executable, str(script), str(shared_broker.port)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield
        assert process.poll() is None, "the peer has crashed"
    finally:
        process.terminate()
        process.communicate(timeout=10)


def greeter() -> tuple[Service, list[Any], list[Any]]:
    """A service of ours that the peer invokes, and that listens to the peer's events."""
    service = Service("Greeter", version="1")
    sent: list[Any] = []
    registered: list[Any] = []

    @service.command
    async def greet(ctx: Context, payload: str) -> str:
        return f"hello {payload}, from {ctx.message.sender.service_name}"

    @service.command
    async def mail(ctx: Context, payload: str) -> dict[str, Any]:
        return await ctx.invoke(send_email, {"to": payload}, lang="de")

    @service.subscription(Event("emailSent"))
    async def on_sent(ctx: Context, payload: Any) -> None:
        sent.append((ctx.message.message_type, payload))

    @service.subscription(Event("newUserRegistered"))
    async def on_registered(ctx: Context, payload: Any) -> None:
        registered.append((ctx.message.id, ctx.trace_id, payload))

    return service, sent, registered


@pytest.fixture
def here(shared_broker: Mosquitto, tmp_path: Path) -> Bench:
    """On the topics of the peer."""
    return Bench(shared_broker, tmp_path, instance_id="ours")


async def test_each_side_invokes_the_other(peer: None, here: Bench) -> None:
    service, sent, registered = greeter()
    async with here.serve(service) as client:
        answer = await client.invoke(service.commands["mail"], "a@example.com")
        assert answer == {"sent": True, "language": "de"}
        assert await client.invoke(relay, "Ada") == "hello Ada, from EmailService"
        await until(lambda: sent and registered)
        assert sent == [("commandSuccessResponse", {"sent": True, "language": "de"})]
        # An event without an id of its own is taken as it is; its trace is that of its `otp`.
        assert registered == [(None, "315d266349d990a339c32a8276f3ec0d", {"to": "a@example.com"})]


async def test_errors_travel_both_ways(peer: None, here: Bench) -> None:
    service, _, _ = greeter()
    async with here.serve(service) as client:
        with pytest.raises(HandledError) as caught:
            await client.invoke(send_email, {"to": "nobody"})
        assert (int(caught.value.status), caught.value.message) == (404, "no such address")
        assert caught.value.data == {"to": "nobody"}
        assert caught.value.trace_id == "1" * 32
        # The peer hands what our command answered on: its input was no text.
        with pytest.raises(HandledError) as caught:
            await client.invoke(relay, 5)  # type: ignore[arg-type]
        assert int(caught.value.status) == 400
        assert caught.value.data[0]["path"] == []
