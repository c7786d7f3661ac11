"""One run of an application, from start to stop."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from ._core import Address
from .bridges import EventBridge
from .client import Client
from .config import Settings
from .presence import Presence
from .reporter import Reporter
from .runtime import Runtime
from .scope import Scope
from .service import Service
from .shelter import sheltered_tasks
from .stores import Stores
from .threads import ThreadPool
from .timers import Timers
from .urls import public_url

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from .bridges.mqtt.retire import Retired
    from .notify import Manager
    from .uplink.uplink import Uplink

__all__ = ("Running",)

logger = logging.getLogger("purista_fast.app")
_GOOD_BYE = 15.0
"""How long the disconnect, the last write to disk and the end of the resources may take together, in seconds."""


class Running:
    """One run of an application."""

    def __init__(
        self,
        name: str,
        bridge: EventBridge,
        settings: Settings,
        services: tuple[Service, ...],
        configs: Mapping[Service, Any],
        resources: Any,
        uplink: Uplink | None = None,
    ) -> None:
        self.bridge = bridge
        self.settings = settings
        self.services = services
        self.configs = configs
        self.resources = resources
        self.stores = Stores(settings, name)
        self.runtime = Runtime(bridge, ThreadPool(settings.app.threads), settings.bridge.command_timeout)
        self.uplink = self.runtime.uplink = uplink
        self.reporter = self.runtime.reporter = Reporter(name, bridge, self.runtime, settings)
        self.timers = Timers(self.runtime, self.stores, settings)
        self.presence = Presence(bridge, services, settings.bridge.queue_timeout)

    @asynccontextmanager
    async def run(self, manager: Manager | None = None) -> AsyncIterator[Client]:
        """Runs it within the block.

        :param manager: is told when it is ready, how it is, and when it stops.
        """
        try:
            async with self._run(manager) as client:
                yield client
        finally:
            with anyio.CancelScope(shield=True):
                await self.stores.close()  # once no handler is left, also if the start has failed

    @asynccontextmanager
    async def _run(self, manager: Manager | None) -> AsyncIterator[Client]:
        self._add_all()
        scope = Scope(self.runtime, Address("Client", "1", "client", self.bridge.instance_id), self.stores)
        failure: BaseException | None = None
        async with sheltered_tasks() as tasks:
            await self._start(tasks)
            try:
                await self.presence.start(tasks)
                self.timers.start(tasks)
                if manager is not None:
                    # Beside the bridge: if that fails, so do the signs of life.
                    tasks.start_soon(manager.watch, self._look, name="service manager")
                yield Client(self.runtime, scope)
            except BaseException as error:  # noqa: BLE001 - raised again below, not wrapped in a group
                failure = error
            self.timers.cancel()
            with anyio.CancelScope(shield=True):
                if manager is not None:
                    await manager.stopping(self._longest_stop())
                # A bridge that has failed carries nothing any more, and nobody is left to finish anything.
                await (self._end() if tasks.cancel_scope.cancel_called else self._stop())
        if failure is not None:
            raise failure

    async def _start(self, tasks: TaskGroup) -> None:
        """Starts the bridges: what is to go up finds its way from the first message on."""
        uplink = self.uplink
        if uplink is None:
            await self.bridge.start(tasks)
            return
        await uplink.start(tasks)
        try:
            await self.bridge.start(tasks)
            await uplink.begin(tasks)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await uplink.stop()
            raise

    async def retire(self, quiet: float, timeout: float) -> Retired:
        """Ends the instance for good; see :meth:`App.retire`."""
        from .bridges.mqtt import MqttBridge

        bridge = self.bridge
        assert isinstance(bridge, MqttBridge), "there is nothing to retire on others"
        self._add_all()
        bridge.prepare_retirement()
        async with sheltered_tasks() as tasks:
            if self.uplink is not None:
                await self.uplink.start(tasks)  # what waits on the own broker may have to go up
            try:
                await bridge.start(tasks)
                try:
                    outcome = await bridge.retire(quiet, timeout)
                    await self.presence.shut_down()
                finally:
                    with anyio.CancelScope(shield=True):
                        await bridge.stop()
            finally:
                with anyio.CancelScope(shield=True):
                    if self.uplink is not None:
                        await self.uplink.stop()
                    await self.stores.close()
        return outcome

    def _add_all(self) -> None:
        for service in self.services:
            self._add(service)
        if self.services:
            self.bridge.serve(self.reporter.endpoint())
            if self.uplink is not None:
                self.uplink.serve(self.reporter.endpoint())

    def _add(self, service: Service) -> None:
        for command in service.commands.values():
            self.bridge.serve(self.runtime.endpoint(command, self._scope(service, command)))
        for subscription in service.subscriptions.values():
            self.bridge.listen(self.runtime.consumer(subscription, self._scope(service, subscription)))
        if self.settings.app.worker <= 1:  # of the workers that share the load, one keeps the time
            for timer in service.timers.values():
                self.timers.add(timer, self._scope(service, timer))

    def _scope(self, service: Service, function: Any) -> Scope:
        return Scope(
            self.runtime,
            Address(service.name, service.version, function.name, self.bridge.instance_id),
            self.stores,
            function,
            config=self.configs[service],
            resources=self.resources,
            emit_timeout=self.settings.bridge.queue_timeout,
        )

    def _look(self) -> tuple[str, str | None]:
        """How it is in words, for the service manager, and what is broken for good."""
        where = public_url(self.settings.bridge.url)
        link = f"on {where}" if self.bridge.is_connected else f"without a connection to {where}, trying again"
        broken = self.bridge.ailment()
        if self.uplink is not None:
            link += f"; uplink {'connected' if self.uplink.cloud.is_connected else 'not connected'}"
            broken = broken or self.uplink.cloud.ailment()
        return f"instance {self.bridge.instance_id} {link}", broken

    def _longest_stop(self) -> float:
        """How long a stop may take, in seconds: timers, handlers, the news to others and the good-bye to the broker."""
        settings, bridges = self.settings, 1 if self.uplink is None else 2
        return (1 + bridges) * settings.app.drain_timeout + bridges * (2 * settings.bridge.queue_timeout + _GOOD_BYE)

    async def _stop(self) -> None:
        await self.timers.ended(self.settings.app.drain_timeout)
        await self.presence.drain()
        timeout = self.settings.app.drain_timeout
        left = await self.uplink.drain(timeout) if self.uplink is not None else 0
        left += await self.bridge.drain(timeout)
        if left:
            logger.warning("stopped with %d messages unfinished after %s s", left, timeout)
        await self.presence.shut_down()
        await self._end()

    async def _end(self) -> None:
        await self.bridge.stop()
        if self.uplink is not None:
            await self.uplink.stop()
