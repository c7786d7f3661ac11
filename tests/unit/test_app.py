"""Putting an application together, and what keeps it from starting."""

from pathlib import Path
from typing import Any, Literal

import anyio
import pytest

from purista_fast import (
    App,
    BridgeError,
    ConfigError,
    Context,
    DefinitionError,
    Event,
    Service,
    UnhandledError,
    connect,
)
from purista_fast.config import BridgeSettings, Settings

pytestmark = pytest.mark.anyio
noted = Event("noted", int)


def demanding(need: Literal["durable", "shared", "remote"]) -> Service:
    service = Service("Demanding")

    @service.subscription(noted, needs=[need])
    async def on(ctx: Context, payload: int) -> None: ...

    return service


@pytest.mark.parametrize("need", ["durable", "remote"])
async def test_a_need_that_the_bridge_lacks_is_refused_by_both_names(need: Any) -> None:
    with pytest.raises(BridgeError) as caught:
        async with App(demanding(need)).serve(bridge="memory://"):
            pass
    assert f"subscription Demanding/1/on needs a bridge that is {need}; memory:// is shared" in str(caught.value)


async def test_a_need_that_the_bridge_has() -> None:
    async with App(demanding("shared")).serve(bridge="memory://") as client:
        await client.emit(noted, 1)


@pytest.mark.parametrize("url", ["http://x", "memory", "", "amqp://me:hunter2@h"])
async def test_an_unknown_bridge(url: str) -> None:
    with pytest.raises(ConfigError, match="begins with none of memory://, mqtt://, mqtts://") as caught:
        async with App().serve(bridge=url):
            pass
    assert "hunter2" not in str(caught.value)


async def test_settings_made_elsewhere() -> None:
    settings = Settings(bridge=BridgeSettings(instance_id="made_elsewhere"))
    async with App().serve(settings=settings) as client:
        assert client.instance_id == "made_elsewhere"


async def test_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "purista.toml"
    file.write_text('[bridge]\ninstance_id = "from_file"\n[profile.other.bridge]\ninstance_id = "of_profile"\n')
    async with App().serve(config=file) as client:
        assert client.instance_id == "from_file"
    async with App().serve(config=file, profile="other", bridge="memory://") as client:
        assert client.instance_id == "of_profile"


async def test_resources_that_cannot_be_opened_stop_the_start() -> None:
    ran: list[str] = []
    service = Service("S")

    @service.subscription(message_type="infoServiceReady")
    async def on(ctx: Context) -> None:
        ran.append("started")

    def broken() -> Any:
        raise OSError("no bus")

    with pytest.raises(OSError, match="no bus"):
        async with App(service, resources=broken).serve(bridge="memory://"):
            ran.append("block")
    assert ran == []


async def test_a_client_alone() -> None:
    async with connect("memory://", name="Tool", version="2", target="shell") as client:
        await client.emit(noted, 1)
        async with client.listen() as messages:
            await client.emit(noted, 2)
            sender = (await anext(messages)).sender
        assert (sender.service_name, sender.service_version, sender.service_target) == ("Tool", "2", "shell")
        assert sender.instance_id == client.instance_id


async def test_what_a_service_says_of_itself() -> None:
    service, watch = Service("Said"), Service("Watch")
    said: list[str] = []

    @service.command
    async def ping(ctx: Context) -> None: ...

    @watch.subscription(sender={"service": "Said"})
    async def on(ctx: Context) -> None:
        said.append(ctx.message.message_type)

    async with App(service, watch).serve(bridge="memory://"):
        await anyio.wait_all_tasks_blocked()
    start = ["infoServiceInit", "infoServiceFunctionAdded", "infoServiceReady"]
    assert said[:4] == [*start, "infoServiceDrain"]


async def test_two_services_or_handlers_of_one_address() -> None:
    with pytest.raises(DefinitionError, match="two services are called A/1"):
        App(Service("A"), Service("A"))


async def test_an_error_of_a_start_is_not_wrapped() -> None:
    async with App().serve(bridge="memory://", overrides={"app": {"drain_timeout": 0.1}}):
        pass
    with pytest.raises(ConfigError, match="drain_timeout"):
        async with App().serve(overrides={"app": {"drain_timeout": 0}}):
            pass


async def test_a_client_after_its_application() -> None:
    async with App().serve(bridge="memory://") as client:
        pass
    service = Service("A")

    @service.command
    async def ping(ctx: Context) -> None: ...

    with pytest.raises(UnhandledError) as caught:
        await client.invoke(ping)
    assert caught.value.status in (502, 503)
