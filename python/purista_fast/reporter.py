"""Serves the command that tells how an application is; what it answers is made once somebody asks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from ._core import Address, __version__
from .bridges.base import Endpoint, Request
from .config import Settings
from .urls import public_url

if TYPE_CHECKING:
    from .bridges import EventBridge
    from .health import Health
    from .runtime import Runtime

__all__ = ("SERVICE", "VERSION", "Reporter")

SERVICE, VERSION = "PuristaFast", "1"
"""Under which :data:`purista_fast.health.health` is served."""


class Reporter:
    """Tells how the application is.

    :param name: the application's.
    """

    def __init__(self, name: str, bridge: EventBridge, runtime: Runtime, settings: Settings) -> None:
        self._name = name
        self._bridge = bridge
        self._runtime = runtime
        self._url = public_url(settings.bridge.url)
        self._began = time.monotonic()

    def endpoint(self) -> Endpoint:
        """The command ``health``, as the bridge serves it: announced to nobody, and never refused for load."""

        async def execute(_: Request) -> bytes:
            return msgspec.json.encode(self.report())

        address = Address(SERVICE, VERSION, "health", self._bridge.instance_id)
        return Endpoint(address=address, execute=execute, is_internal=True)

    def report(self) -> Health:
        """How it is now."""
        from .health import from_statistics

        return from_statistics(
            self._runtime.statistics(),
            instance_id=self._bridge.instance_id,
            app=self._name,
            version=__version__,
            bridge=self._url,
            up_for=time.monotonic() - self._began,
            connected=self._bridge.is_connected,
            handler_errors=dict(self._runtime.failures),
            commands_running=self._runtime.running,
        )
