"""Many devices on one real broker, under the rules written for them: each is itself, and hears what is its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from purista_fast import App, Client, Context, Event, Service, UnhandledError
from purista_fast.doctor.patient import Connection
from tests.broker.bridged import pair
from tests.broker.configured import Configured, configured
from tests.broker.helpers import PATIENCE, until
from tests.mosquitto import Certificates

COUNT = 1000
EVENT = "purista/custom_message/none/{}/{}/tank/1/watch/{}/none/none/none/none"
COMMAND = "purista/command/none/{}/cloud/hall/1/ask/none/{}/watch/1/set_limit"
ANSWER = "purista/command_success_response/none/{}/{}/watch/1/set_limit/none/cloud/hall/1/ask"


def tenant_of(number: int) -> str:
    return "plant_a" if number % 2 else "plant_b"


def name_of(number: int) -> str:
    return f"device_{number}"


@contextmanager
def fleet(
    folder: Path, monkeypatch: pytest.MonkeyPatch, count: int, *, tenants: bool, tls: Certificates | None = None
) -> Iterator[Configured]:
    """A broker with rules for so many devices and the instance ``cloud``; all have their name as the password."""
    names = [name_of(number) for number in range(count)]
    lines = [f"{name} {tenant_of(number)}" if tenants else name for number, name in enumerate(names)]
    (folder / "fleet.txt").write_text("\n".join(lines))
    (folder / "clear.txt").write_text("".join(f"{name}:{name}\n" for name in (*names, "cloud")))
    arguments = ["--instance", "cloud", "--devices", str(folder / "fleet.txt"), "--listen", "fleetConfigChanged"]
    arguments += ["--passwords", str(folder / "clear.txt"), *(["--tls"] if tls else [])]
    with configured(folder, monkeypatch, *arguments, certificates=tls, passwords=False) as broker:
        secrets = folder / "mosquitto" / "secrets"
        secrets.mkdir()
        for name in (*names, "cloud"):
            (secrets / name).write_text(name)
        yield broker


def received(connection: Connection) -> list[str]:
    """The topics of what has come by now: an own message that comes back says that nothing is before it any more."""
    own = f"purista_fast/purista/doctor/{connection.client_id}/end"
    assert connection.publish(own) < 0x80
    found: list[str] = []
    while (message := connection.message(PATIENCE)) is not None and message.topic != own:
        found.append(message.topic)
    assert message is not None, "the own message did not come back"
    return found


def test_a_thousand_devices_with_rights_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is connected all the time: publishes, gets its command, and fails to be another, or to hear one."""
    with fleet(tmp_path, monkeypatch, COUNT, tenants=True) as broker, ExitStack() as stack:
        cloud = stack.enter_context(broker.connect("cloud", client_id="cloud"))
        cloud.subscribe("purista/custom_message/#", "purista/command_success_response/#", "purista_fast/#")
        devices = [stack.enter_context(broker.connect(name_of(n), client_id=name_of(n))) for n in range(COUNT)]
        for device in devices:
            # mosquitto grants all of it, and judges each message.
            device.subscribe("#")
        for number, device in enumerate(devices):
            tenant, other = tenant_of(number), (number + 1) % COUNT
            assert device.publish(EVENT.format(tenant, name_of(number), "alarm")) < 0x80
            # As another device, of the other tenant; as itself, but of the other tenant; and a command to another.
            assert device.publish(EVENT.format(tenant_of(other), name_of(other), "alarm")) == 0x87
            assert device.publish(EVENT.format(tenant_of(other), name_of(number), "alarm")) == 0x87
            assert device.publish(ANSWER.format(tenant, name_of(other))) == 0x87
            assert device.publish(COMMAND.format(tenant, name_of(other))) == 0x87
            assert device.publish(f"purista_fast/purista/marker/{name_of(other)}") == 0x87
        expected = {EVENT.format(tenant_of(n), name_of(n), "alarm") for n in range(COUNT)}
        assert len(heard := received(cloud)) == COUNT
        assert set(heard) == expected
        for number in range(COUNT):
            assert cloud.publish(COMMAND.format(tenant_of(number), name_of(number))) < 0x80
        for tenant in ("plant_a", "plant_b", "none"):
            assert cloud.publish(EVENT.format(tenant, "cloud", "fleet_config_changed")) < 0x80
        for number, device in enumerate(devices):
            tenant = tenant_of(number)
            # Its own command, and the event for its tenant and the one for all: nothing of any other device.
            assert received(device) == [
                COMMAND.format(tenant, name_of(number)),
                EVENT.format(tenant, "cloud", "fleet_config_changed"),
                EVENT.format("none", "cloud", "fleet_config_changed"),
            ]
            assert device.publish(ANSWER.format(tenant, name_of(number))) < 0x80
        assert set(received(cloud)) >= {ANSWER.format(tenant_of(n), name_of(n)) for n in range(COUNT)}


@pytest.mark.anyio
@pytest.mark.parametrize("tenants", [False, True])
async def test_applications_with_an_uplink_under_these_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tenants: bool
) -> None:
    high, config = Event("alarmHigh", Any), Event("fleetConfigChanged", Any)
    hall, watch, heard, told = Service("Hall"), Service("Watch"), list[Any](), list[Any]()

    @hall.subscription(high)
    async def on(ctx: Context, payload: Any) -> None:
        heard.append((ctx.message.sender.instance_id, ctx.tenant_id, payload))

    @watch.command
    async def limit(ctx: Context, payload: int) -> int:
        return payload + 1

    @watch.subscription(config)
    async def changed(ctx: Context, payload: Any) -> None:
        told.append(payload)

    def serve(name: str, user: str) -> Any:
        up = {"events": ["alarmHigh"], "listen": ["fleetConfigChanged"], "commands": ["*"]}
        overrides = {
            "bridge": {"instance_id": name},
            "storage": {"state_dir": str(tmp_path / f"state_{name}")},
            "uplink": broker.bridge_of(user, **up),
        }
        return App(watch, name="Device").serve(overrides=overrides)

    def of_tenant(client: Client, number: int) -> Client:
        return client.acting(tenant_id=tenant_of(number)) if tenants else client

    with fleet(tmp_path, monkeypatch, 3, tenants=tenants) as broker:
        overrides = {
            "bridge": broker.bridge_of("cloud", instance_id="cloud"),
            "storage": {"state_dir": str(tmp_path / "state_cloud")},
        }
        async with (
            App(hall, name="Cloud").serve(overrides=overrides) as cloud,
            serve("device_0", "device_0") as first,
            serve("device_1", "device_1") as second,
        ):
            for number, client in enumerate((first, second)):
                await of_tenant(client, number).emit(high, number)
            await until(lambda: len(heard) == 2)
            assert sorted(heard) == [(name_of(n), tenant_of(n) if tenants else None, n) for n in range(2)]
            for number in range(2):
                asked = limit.using(instance_id=name_of(number), timeout=10.0)
                assert await of_tenant(cloud, number).invoke(asked, number) == number + 1
            await of_tenant(cloud, 0).emit(config, "first")
            await cloud.emit(config, "all")
            # To the first one alone where tenants are apart.
            expected = ["all", "all", "first"] if tenants else ["all", "all", "first", "first"]
            await until(lambda: sorted(told) == expected)
            if tenants:
                # A tenant that is not its own: nobody gets the command.
                with pytest.raises(UnhandledError, match="504"):
                    await of_tenant(cloud, 1).invoke(limit.using(instance_id="device_0", timeout=0.5), 1)
            # Whoever poses as another device is refused, and nobody receives it.
            async with serve("stranger", "device_2") as forger:
                await of_tenant(forger, 2).emit(high, "forged")
                await until(lambda: forger.statistics()["uplink"]["dead_letters"]["messages"] == 1)
                await of_tenant(first, 0).emit(high, "last")
                await until(lambda: heard[-1][2] == "last")
            assert len(heard) == 3


@pytest.mark.anyio
async def test_a_bridge_under_these_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, certificates: Certificates
) -> None:
    """With encryption and a password; the broker of the device carries more than its rights allow, in vain."""
    high = Event("alarmHigh", Any)
    with fleet(tmp_path, monkeypatch, 1, tenants=False, tls=certificates) as broker, broker.connect("cloud") as cloud:
        cloud.subscribe("purista/#")
        uplink = {
            "url": f"mqtts://localhost:{broker.tls_port}",
            "ca_file": str(certificates.ca),
            "username": "device_0",
            "password": "device_0",
            "events": ["alarmHigh"],
            "instances": ["device_0", "stranger"],
        }
        with pair(tmp_path, monkeypatch, cloud=broker, bridge={"instance_id": "device_0"}, **uplink) as link:
            for number, name in enumerate(("stranger", "device_0", "stranger", "device_0")):
                overrides = {
                    "bridge": {**link.local.bridge, "instance_id": name},
                    "storage": {"state_dir": str(tmp_path / name)},
                }
                async with App(name="Device").serve(overrides=overrides) as client:
                    await client.emit(high, number)
            found = [cloud.message(PATIENCE) for _ in range(2)]
            assert [json.loads(message.payload)["payload"] for message in found if message] == [1, 3]
