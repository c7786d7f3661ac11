"""The two bridges of a device: its own, and the one to a broker elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import anyio
import msgspec

from ..bridges import EventBridge, open_bridge
from ..bridges.mqtt import MqttBridge
from ..bridges.mqtt.away import Away, Urgency
from ..config import Settings, StorageSettings
from ..errors import ConfigError
from ..presence import Presence
from ..urls import public_url, scheme
from .down import Down
from .offer import Offer, offered
from .patterns import Patterns
from .up import Up

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from ..bridges.base import Endpoint
    from ..bridges.mqtt.token import Token
    from ..service import Service
    from .settings import UplinkSettings

__all__ = ("Uplink", "uplink_settings")

FOLDER = "uplink"
"""In the state directory."""


class Uplink:
    """Carries messages between an application's own bridge, which it makes as well, and a broker elsewhere.

    :param name: the application's.
    :param token: gives the password for each connection; on ``memory://`` to the broker elsewhere.
    :raises ConfigError: for settings that cannot work.
    :raises BridgeError: if the instance id cannot be kept.
    """

    def __init__(self, settings: Settings, services: Sequence[Service], *, name: str, token: Token | None) -> None:
        uplink = settings.uplink
        assert uplink is not None, "there is none to be made"
        self._settings = uplink
        self._services = services
        self._ready = anyio.Event()
        self._offered = offered(services, Patterns(uplink.commands))
        self._offer = Offer(Patterns(uplink.commands), self._ready)
        away = Away(
            find=self._offer.find,
            urgency=Urgency(lambda event: _urgency(uplink, event)),
            services=tuple((part.name, part.version) for part in self._offered),
        )
        is_alone = scheme(settings.bridge.url) == "memory"
        self.local: EventBridge
        if is_alone:
            # What is kept for the uplink knows the id of this device, for nothing else is kept.
            self.cloud = _open_cloud(settings, settings.bridge.instance_id, name, token, away)
            own = settings.bridge.instance_id or self.cloud.instance_id
            bridge = msgspec.structs.replace(settings.bridge, instance_id=own)
            self.local = open_bridge(msgspec.structs.replace(settings, bridge=bridge), name=name)
        else:
            self.local = open_bridge(settings, name=name, token=token)
            self.cloud = _open_cloud(settings, _device(settings, self.local.instance_id), name, None, away)
        self._offer.local, self._offer.instance_id = self.local, self.cloud.instance_id
        instances = uplink.instances or _workers(settings, self.local.instance_id)
        # The own one comes first: of others it is not known what their commands are.
        instances = sorted(dict.fromkeys(instances), key=lambda one: one != self.local.instance_id)
        self._up = Up(Patterns(uplink.events), instances, self.cloud.upward, settings.bridge.receive_maximum)
        self._down = Down({*instances, self.local.instance_id, self.cloud.instance_id}, self.local, self._ready)
        success_events = {
            command.success_event.name
            for service in services
            for command in service.commands.values()
            if command.success_event is not None
        }
        for consumer in self._up.consumers(success_events, is_durable=not is_alone):
            self.local.listen(consumer)
        for consumer in self._down.consumers(uplink.listen, self.cloud.instance_id):
            self.cloud.listen(consumer)
        self._presence = Presence(self.cloud, self._offered, uplink.queue_timeout)

    def serve(self, endpoint: Endpoint) -> None:
        """Adds a command of the framework's, which needs not be offered; before the start."""
        self.cloud.serve(endpoint)

    async def start(self, tasks: TaskGroup) -> None:
        """Opens what is kept, and looks for the broker; comes before the start of the own bridge, and waits for nobody.

        :raises BridgeError: if what is kept cannot be used.
        """
        await self.cloud.start(tasks)

    async def begin(self, tasks: TaskGroup) -> None:
        """The own bridge runs: what comes from the broker elsewhere goes there from now on."""
        self._ready.set()
        await self._presence.start(tasks)

    async def drain(self, timeout: float) -> int:
        """Takes nothing more from the broker elsewhere; returns how many messages were left unhandled.

        :param timeout: how long that may take, in seconds.
        """
        await self._presence.drain()
        return await self.cloud.drain(timeout)

    async def stop(self) -> None:
        """Disconnects; what has not gone up stays on disk. Comes after the end of the own bridge."""
        await self._presence.shut_down()
        await self.cloud.stop()

    def statistics(self) -> dict[str, Any]:
        """Counters and depths, by name."""
        return {
            "url": public_url(self._settings.url),
            "instance_id": self.cloud.instance_id,
            "up": self._up.statistics(),
            "down": self._down.statistics(),
            "refused_commands": self._offer.refused,
            **self.cloud.statistics(),
        }


def uplink_settings(settings: Settings, instance_id: str | None) -> Settings:
    """The settings of the bridge that is the uplink.

    :param instance_id: of the own bridge.
    """
    uplink = settings.uplink
    assert uplink is not None, "asked only where there is one"
    return Settings(
        bridge=msgspec.structs.replace(uplink, instance_id=uplink.instance_id or instance_id),
        storage=StorageSettings(state_dir=str(settings.storage.directory() / FOLDER)),
        outbox=uplink.outbox,
        retries=settings.retries,
        # What tells of a dead letter is for this device, and not for those elsewhere.
        dead_letters=msgspec.structs.replace(settings.dead_letters, event=None),
        app=msgspec.structs.replace(settings.app, worker=0),
        source=settings.source,
    )


def _open_cloud(settings: Settings, instance_id: str | None, name: str, token: Token | None, away: Away) -> MqttBridge:
    try:
        return MqttBridge(uplink_settings(settings, instance_id), name=name, token=token, away=away)
    except ConfigError as error:
        # What is wrong stands in the section of the uplink.
        raise ConfigError(str(error).replace("bridge.", "uplink.")) from None


def _device(settings: Settings, instance_id: str) -> str:
    """What the device is called of which this process is the first worker, if it is one."""
    return instance_id.removesuffix(f"_{settings.app.worker}") if settings.app.worker else instance_id


def _workers(settings: Settings, instance_id: str) -> list[str]:
    """All workers of the device; the first one has the uplink."""
    if not settings.app.worker:
        return [instance_id]
    if settings.app.workers is None:
        raise ConfigError(
            f"{settings.source}: uplink.instances: how many workers there are is not known: name the instances whose "
            "messages go up, or set app.workers"
        )
    return [f"{_device(settings, instance_id)}_{number}" for number in range(1, settings.app.workers + 1)]


def _urgency(settings: UplinkSettings, event: str) -> tuple[int, float | None]:
    found = settings.policy(event)
    return (0, None) if found is None else (found.priority, found.ttl)
