"""Commands that the cloud calls on a device."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from purista_fast import Context, Event, HandledError, Service, StatusCode, UnhandledError, remote
from tests.broker.helpers import cable, until
from tests.broker.uplinks import Sides, events_of
from tests.mosquitto import Mosquitto

pytestmark = pytest.mark.anyio
limit_set = Event("limitSet", int)


@pytest.fixture(params=["memory", "mqtt"])
def sides(request: pytest.FixtureRequest, new_broker: Callable[..., Mosquitto], tmp_path: Path) -> Sides:
    """Devices on ``memory://``, and on a broker of their own."""
    local = new_broker(lines=["max_queued_messages 0"]) if request.param == "mqtt" else None
    return Sides(new_broker(), local, tmp_path)


def watch(ran: list[Any] | None = None) -> Service:
    """What runs on a device."""
    service = Service("Watch")
    ran = [] if ran is None else ran

    @service.command(success_event=limit_set, name="setLimit")
    async def set_limit(ctx: Context, payload: int, *, unit: str = "C") -> int:
        ran.append((payload, unit, ctx.principal_id, ctx.tenant_id, ctx.trace_id, ctx.message.sender.service_name))
        if payload < 0:
            raise HandledError(StatusCode.BAD_REQUEST, "below zero", {"limit": payload})
        return payload

    @service.command(name="crash")
    async def crash(ctx: Context) -> None:
        raise RuntimeError("secret")

    @service.command(name="sleep")
    async def sleep(ctx: Context) -> None:
        await anyio.sleep_forever()

    @service.command(name="reset")
    async def reset(ctx: Context) -> None:
        ran.append("reset")

    return service


@remote("Watch", "1", name="setLimit")
async def set_limit(ctx: Any, payload: int, *, unit: str = "C") -> int: ...


@remote("Watch", "1")
async def crash(ctx: Any) -> None: ...


@remote("Watch", "1")
async def sleep(ctx: Any) -> None: ...


@remote("Watch", "1")
async def reset(ctx: Any) -> None: ...


@remote("Watch", "1")
async def missing(ctx: Any) -> None: ...


AT_7 = {"instance_id": "greenhouse_7"}


async def test_the_cloud_calls_a_device(sides: Sides) -> None:
    ran: list[Any] = []
    with sides.peer() as peer:
        async with (
            sides.device(watch(ran), commands=["Watch/1/setLimit"], events=["limitSet"]),
            sides.device(watch(), name="greenhouse_8", commands=["Watch/1/*"], events=["limitSet"]),
            sides.cloud() as cloud,
        ):
            caller = cloud.acting(principal_id="ann", tenant_id="plant_1", trace_id="b" * 32)
            assert await caller.invoke(set_limit.using(**AT_7), 30, unit="F") == 30
            assert ran == [(30, "F", "ann", "plant_1", "b" * 32, "Client")]
            await until(lambda: len(events_of(peer)) == 1)
            statistics = cloud.statistics()
        (event,) = events_of(peer)
        assert (event["eventName"], event["payload"], event["traceId"]) == ("limitSet", 30, "b" * 32)
        assert event["sender"]["instanceId"] == "greenhouse_7"
        answers = [body for body in peer.bodies if body["messageType"] == "commandSuccessResponse" and body != event]
        (answer,) = [body for body in answers if body["sender"]["serviceName"] == "Watch"]
        assert (answer.get("eventName"), answer["receiver"]["instanceId"]) == (None, "cloud")
        assert (answer["principalId"], answer["tenantId"], answer["traceId"]) == ("ann", "plant_1", "b" * 32)
        assert statistics["late_answers"] == 0, "the event does not come as a second answer"


async def test_errors_come_back_as_they_are(sides: Sides) -> None:
    commands = ["Watch/1/setLimit", "Watch/1/crash", "Watch/1/sleep", "Watch/1/missing"]
    async with sides.device(watch(), commands=commands), sides.cloud() as cloud:
        with pytest.raises(HandledError, match="below zero") as handled:
            await cloud.invoke(set_limit.using(**AT_7), -1)
        assert (handled.value.status, handled.value.data) == (400, {"limit": -1})
        with pytest.raises(HandledError) as invalid:
            await cloud.invoke(set_limit.using(**AT_7), "warm")  # type: ignore[arg-type]
        assert invalid.value.status == 400
        with pytest.raises(UnhandledError) as crashed:
            await cloud.invoke(crash.using(**AT_7))
        assert (crashed.value.status, "secret" in str(crashed.value)) == (500, False)
        with pytest.raises(UnhandledError) as late:
            await cloud.invoke(sleep.using(timeout=0.5, **AT_7))
        assert late.value.status == 504
        # On memory:// it is known that nobody serves it.
        with pytest.raises(UnhandledError) as nobody:
            await cloud.invoke(missing.using(timeout=1.0, **AT_7))
        assert nobody.value.status == (502 if sides.local is None else 504)


async def test_what_is_not_offered_is_refused(sides: Sides) -> None:
    ran: list[Any] = []
    async with sides.device(watch(ran), commands=["Watch/1/set*"]) as device, sides.cloud() as cloud:
        with pytest.raises(UnhandledError, match=r"greenhouse_7 does not offer Watch/1/reset beyond") as refused:
            await cloud.invoke(reset.using(**AT_7))
        assert refused.value.status == 403
        assert "uplink.commands" in str(refused.value)
        assert (ran, device.statistics()["uplink"]["refused_commands"]) == ([], 1)
        await device.invoke(reset)
        assert ran == ["reset"], "here it may be called"


async def test_a_command_for_anybody_is_for_no_device(sides: Sides) -> None:
    ran: list[Any] = []
    async with sides.device(watch(ran), commands=["*"]) as device, sides.cloud() as cloud:
        with pytest.raises(UnhandledError) as nobody:
            await cloud.invoke(set_limit.using(timeout=1.0), 1)
        assert nobody.value.status == 504
        with pytest.raises(UnhandledError):
            await cloud.invoke(set_limit.using(timeout=1.0, instance_id="greenhouse_8"), 1)
        assert ran == []
        # One that names nobody, on the topic of this device, is forged.
        with sides.peer() as peer:
            assert await cloud.invoke(set_limit.using(**AT_7), 2) == 2
            await until(lambda: any(body["messageType"] == "command" for body in peer.bodies))
            (command,) = [found for found in peer.messages if json.loads(found.payload)["messageType"] == "command"]
            body = json.loads(command.payload)
            del body["receiver"]["instanceId"]
            peer.publish(command.topic, {**body, "correlationId": "other"})
            await until(lambda: device.statistics()["uplink"]["rejected"].get("forged topic"))
        assert len(ran) == 1


async def test_a_command_that_comes_twice_runs_once(sides: Sides) -> None:
    ran: list[Any] = []
    async with sides.device(watch(ran), commands=["*"]) as device, sides.cloud() as cloud:
        with sides.peer() as peer:
            assert await cloud.invoke(set_limit.using(**AT_7), 2) == 2
            await until(lambda: any(body["messageType"] == "command" for body in peer.bodies))
            (command,) = [found for found in peer.messages if json.loads(found.payload)["messageType"] == "command"]
            peer.publish(command.topic, command.payload)
            await until(lambda: device.statistics()["uplink"]["commands_repeated"] == 1)
        assert len(ran) == 1


async def test_a_device_that_is_away_is_not_called_later(sides: Sides) -> None:
    """The caller has given up: the command expires with it."""
    ran: list[Any] = []
    with cable(sides.broker.port) as link:
        async with sides.device(watch(ran), port=link.port, commands=["*"]) as device, sides.cloud() as cloud:
            await until(lambda: device.statistics()["uplink"]["connected"])
            link.cut()
            await until(lambda: not device.statistics()["uplink"]["connected"])
            with pytest.raises(UnhandledError) as away:
                await cloud.invoke(set_limit.using(timeout=1.0, **AT_7), 1)
            assert away.value.status == 504
            assert await device.invoke(set_limit, 2) == 2
            link.mend()
            await until(lambda: device.statistics()["uplink"]["connected"])
            assert await cloud.invoke(set_limit.using(**AT_7), 3) == 3
            assert [payload for payload, *_ in ran] == [2, 3]


async def test_the_cloud_sees_who_is_there(sides: Sides) -> None:
    other = Service("Inner")

    @other.command
    async def hidden(ctx: Context) -> None: ...

    with sides.peer() as peer:
        async with sides.device(watch(), other, commands=["Watch/1/set*"]), sides.cloud() as cloud:
            await until(lambda: any(body["messageType"] == "infoServiceReady" for body in peer.bodies))
            found = {one.instance_id: one.services for one in await cloud.alive(0.5)}
            assert found == {"greenhouse_7": [("Watch", "1")]}
        added = [body for body in peer.bodies if body["messageType"] == "infoServiceFunctionAdded"]
        assert [body["sender"]["serviceTarget"] for body in added] == ["setLimit"]
        ended = [body["sender"]["serviceName"] for body in peer.bodies if body["messageType"] == "infoServiceShutdown"]
        assert ended == ["Watch"]
