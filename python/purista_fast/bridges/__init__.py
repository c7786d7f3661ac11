"""The bridges, by URL scheme."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..config import Settings
from ..errors import BridgeError, ConfigError
from ..urls import public_url, scheme
from .base import Capability, EventBridge

if TYPE_CHECKING:
    from .mqtt.token import Token

__all__ = ("Capability", "EventBridge", "check_bridge", "check_retirement", "open_bridge")


def open_bridge(settings: Settings, *, name: str, token: Token | None = None) -> EventBridge:
    """Makes the bridge that ``bridge.url`` names; it connects when it is started.

    :param name: the application's name, under which its state is kept.
    :param token: gives the password for each connection, on a bridge that connects.
    :raises ConfigError: for an unknown scheme or a setting that the bridge refuses.
    """
    kind = scheme(settings.bridge.url)
    if kind == "memory":
        from .._core import new_id
        from .memory import MemoryBridge

        instance_id = settings.bridge.instance_id or new_id()
        return MemoryBridge(instance_id=instance_id, queue_timeout=settings.bridge.queue_timeout)
    if kind in ("mqtt", "mqtts"):
        from .mqtt import MqttBridge

        return MqttBridge(settings, name=name, token=token)
    raise _unknown(settings)


def check_bridge(settings: Settings, token: Token | None = None) -> frozenset[Capability]:
    """What the bridge can do that ``bridge.url`` names. Nothing is opened, and no file is read or written.

    :param token: gives the password for each connection.
    :raises ConfigError: for an unknown scheme or a setting that the bridge refuses, but for files that it cannot use.
    """
    kind = scheme(settings.bridge.url)
    if kind == "memory":
        from .memory import MemoryBridge

        return MemoryBridge.capabilities
    if kind in ("mqtt", "mqtts"):
        from .mqtt import MqttBridge

        MqttBridge.check(settings, token)
        return MqttBridge.capabilities
    raise _unknown(settings)


def check_retirement(settings: Settings, name: str) -> None:
    """Sees that there is an instance to retire.

    :raises BridgeError: if there is none.
    """
    if scheme(settings.bridge.url) == "memory":
        raise BridgeError("memory:// keeps nothing for an instance that ends, so there is nothing to retire")
    if settings.bridge.instance_id is None:
        from .mqtt.state import State

        folder = settings.storage.directory()
        if not State.is_known(folder, name):
            raise BridgeError(
                f"no instance of {name} has run with its state in {folder}: name one by bridge.instance_id, or its "
                "folder by storage.state_dir"
            )


def _unknown(settings: Settings) -> ConfigError:
    url = public_url(settings.bridge.url)
    return ConfigError(f"bridge.url {url!r} begins with none of memory://, mqtt://, mqtts://")
