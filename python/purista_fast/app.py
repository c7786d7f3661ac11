"""An application: services, a bridge, and their life from start to stop."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import msgspec

from ._core import Address
from .bridges import EventBridge, check_retirement, open_bridge
from .client import Client
from .config import Settings, fill, load
from .definition import Timer
from .errors import BridgeError, ConfigError, DefinitionError, PuristaError
from .presence import Presence
from .runtime import Runtime, Scope
from .service import Service
from .shelter import sheltered_tasks
from .threads import ThreadPool

if TYPE_CHECKING:
    from .bridges.mqtt.retire import Retired

__all__ = ("App", "connect")

logger = logging.getLogger("purista_fast.app")


class App:
    """Services that run together.

    >>> from purista_fast import App, Context, Service
    >>> thermo = Service("Thermo")
    >>> @thermo.command
    ... async def double(ctx: Context, payload: int) -> int:
    ...     return payload * 2
    >>> async def main():
    ...     async with App(thermo).serve(bridge="memory://") as client:
    ...         return await client.invoke(double, 21)
    >>> import anyio
    >>> anyio.run(main)
    42

    :param resources: what handlers find in ``ctx.resources``: an object, or a function without arguments that gives
        an async context manager, which is entered before the first handler runs and left after the last.
    :param name: under which the application keeps its state; the first service's name unless given.
    :raises DefinitionError: if two services have the same name and version.
    """

    def __init__(self, *services: Service, resources: Any = None, name: str | None = None) -> None:
        seen: dict[tuple[str, str], Service] = {}
        for service in services:
            if seen.setdefault((service.name, service.version), service) is not service:
                raise DefinitionError(f"two services are called {service.name}/{service.version}")
        self.services = tuple(seen.values())
        self.name = name or (services[0].name if services else "app")
        self._resources = resources

    @asynccontextmanager
    async def serve(
        self,
        *,
        bridge: str | None = None,
        profile: str | None = None,
        config: str | os.PathLike[str] | None = None,
        settings: Settings | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> AsyncIterator[Client]:
        """Runs the application within the block, and gives a client for it.

        At the end of the block the application takes nothing new, finishes what is under way (at most
        ``app.drain_timeout`` seconds), and stops.

        :param bridge: ``bridge.url``, over every other setting.
        :param profile: which profile of the configuration to use.
        :param config: the configuration file; ``purista.toml`` of the current folder if there is one.
        :param settings: settings made elsewhere; then the other arguments must be left out.
        :param overrides: a tree of settings over every other.
        :raises ConfigError: for settings that are wrong, with file and key.
        :raises BridgeError: if the bridge cannot start or is lost for good, or lacks what a service needs.
        """
        if settings is None:
            settings = _settings(bridge, profile, config, overrides)
        async with self._open(settings) as running, _unwrapped(), running.run() as client:
            yield client

    async def retire(
        self,
        *,
        bridge: str | None = None,
        profile: str | None = None,
        config: str | os.PathLike[str] | None = None,
        overrides: Mapping[str, Any] | None = None,
        quiet: float = 2.0,
        timeout: float = 60.0,
    ) -> Retired:
        """Ends an instance of this application for good, which must not run; the settings say which one.

        Nothing new is sent to it any more. What waits for it in the broker is handled by the application's
        subscriptions, and what waits on disk is sent. Then its session with the broker ends, and its state is removed.
        What cannot be finished is kept, and the outcome says so: to be tried again.

        :param quiet: after how many seconds without a message nothing waits in the broker any more.
        :param timeout: how long all of it may take, in seconds.
        :raises BridgeError: if the instance runs, there is no such instance, no broker, or nothing to retire, as on
            ``memory://``.
        """
        settings = _settings(bridge, profile, config, overrides)
        settings.bridge.wait_for_broker = True
        async with _unwrapped():
            check_retirement(settings, self.name)
            async with self._open(settings) as running:
                return await running.retire(quiet, timeout)

    @asynccontextmanager
    async def _open(self, settings: Settings) -> AsyncIterator[_Running]:
        """What is about to run, its resources open."""
        services = _enabled(self.services, settings)
        event_bridge = open_bridge(settings, name=self.name)
        _check_needs(services, event_bridge, settings.bridge.url)
        configs = {service: _service_config(service, settings) for service in services}
        async with AsyncExitStack() as stack:
            resources = self._resources
            if callable(resources):
                opened: Any = resources()
                resources = await stack.enter_async_context(opened)
            yield _Running(event_bridge, settings, services, configs, resources)

    def run(
        self,
        *,
        bridge: str | None = None,
        profile: str | None = None,
        config: str | os.PathLike[str] | None = None,
        overrides: Mapping[str, Any] | None = None,
        backend: str = "asyncio",
    ) -> None:
        """Runs the application until SIGTERM or SIGINT (Ctrl-C); the arguments are those of :meth:`serve`.

        :param backend: ``"asyncio"`` or ``"trio"``.
        """

        async def main() -> None:
            with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                async with self.serve(bridge=bridge, profile=profile, config=config, overrides=overrides) as client:
                    logger.info("%s is ready as instance %s", self.name, client.instance_id)
                    async for number in signals:
                        logger.info("%s: stopping", signal.Signals(number).name)
                        break

        anyio.run(main, backend=backend)


class _Running:
    """One run of an application."""

    def __init__(
        self,
        bridge: EventBridge,
        settings: Settings,
        services: tuple[Service, ...],
        configs: Mapping[Service, Any],
        resources: Any,
    ) -> None:
        self.bridge = bridge
        self.settings = settings
        self.services = services
        self.configs = configs
        self.resources = resources
        self.runtime = Runtime(bridge, ThreadPool(settings.app.threads), settings.bridge.command_timeout)
        self.timers: list[tuple[Timer, Scope]] = []
        self.presence = Presence(bridge, services, settings.bridge.queue_timeout)

    @asynccontextmanager
    async def run(self) -> AsyncIterator[Client]:
        for service in self.services:
            self._add(service)
        scope = Scope(self.runtime, Address("Client", "1", "client", self.bridge.instance_id))
        failure: BaseException | None = None
        async with sheltered_tasks() as tasks:
            await self.bridge.start(tasks)
            clock = anyio.CancelScope()
            try:
                await self.presence.start(tasks)
                tasks.start_soon(self._keep_time, clock)
                yield Client(self.runtime, scope)
            except BaseException as error:  # noqa: BLE001 - raised again below, not wrapped in a group
                failure = error
            clock.cancel()
            with anyio.CancelScope(shield=True):
                # A bridge that has failed carries nothing any more, and nobody is left to finish anything.
                await (self.bridge.stop() if tasks.cancel_scope.cancel_called else self._stop())
        if failure is not None:
            raise failure

    async def retire(self, quiet: float, timeout: float) -> Retired:
        """Ends the instance for good; see :meth:`App.retire`."""
        from .bridges.mqtt import MqttBridge

        bridge = self.bridge
        assert isinstance(bridge, MqttBridge), "there is nothing to retire on others"
        for service in self.services:
            self._add(service)
        bridge.prepare_retirement()
        async with sheltered_tasks() as tasks:
            await bridge.start(tasks)
            try:
                outcome = await bridge.retire(quiet, timeout)
                await self.presence.shut_down()
            finally:
                with anyio.CancelScope(shield=True):
                    await bridge.stop()
        return outcome

    async def _keep_time(self, scope: anyio.CancelScope) -> None:
        """Runs the timers until the scope is cancelled: before the rest, for what they begin must find all of it."""
        with scope:
            async with anyio.create_task_group() as timers:
                for timer, timer_scope in self.timers:
                    timers.start_soon(_keep_time, self.runtime, timer, timer_scope)

    def _add(self, service: Service) -> None:
        for command in service.commands.values():
            self.bridge.serve(self.runtime.endpoint(command, self._scope(service, command)))
        for subscription in service.subscriptions.values():
            self.bridge.listen(self.runtime.consumer(subscription, self._scope(service, subscription)))
        self.timers += [(timer, self._scope(service, timer)) for timer in service.timers.values()]

    def _scope(self, service: Service, function: Any) -> Scope:
        return Scope(
            self.runtime,
            Address(service.name, service.version, function.name, self.bridge.instance_id),
            function,
            config=self.configs[service],
            resources=self.resources,
            emit_timeout=self.settings.bridge.queue_timeout,
        )

    async def _stop(self) -> None:
        await self.presence.drain()
        left = await self.bridge.drain(self.settings.app.drain_timeout)
        if left:
            logger.warning("stopped with %d messages unfinished after %s s", left, self.settings.app.drain_timeout)
        await self.presence.shut_down()
        await self.bridge.stop()


async def _keep_time(runtime: Runtime, timer: Timer, scope: Scope) -> None:
    due = anyio.current_time() + timer.interval
    while True:
        await anyio.sleep_until(due)
        await runtime.tick(timer, scope)
        # What came due during the run is left out.
        due += timer.interval * max(1, -(-(anyio.current_time() - due) // timer.interval))


@asynccontextmanager
async def connect(
    url: str | None = None,
    *,
    name: str = "Client",
    version: str = "1",
    target: str = "client",
    profile: str | None = None,
    config: str | os.PathLike[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> AsyncIterator[Client]:
    """A client of services that run elsewhere::

        async with connect("mqtts://broker.example") as client:
            user = await client.invoke(sign_up, SignUp("a@example.com"))

    :param url: the bridge; ``bridge.url`` of the configuration unless given.
    :param name: the service name under which messages are sent; with ``version`` and ``target`` the sender's address.
    :raises ConfigError: for settings that are wrong.
    :raises BridgeError: if the bridge cannot start or is lost for good.
    """
    settings = _settings(url, profile, config, overrides)
    bridge = open_bridge(settings, name="client")
    running = _Running(bridge, settings, (), {}, None)
    async with _unwrapped(), running.run():
        scope = Scope(running.runtime, Address(name, version, target, bridge.instance_id))
        yield Client(running.runtime, scope)


def _settings(
    url: str | None,
    profile: str | None,
    config: str | os.PathLike[str] | None,
    overrides: Mapping[str, Any] | None,
) -> Settings:
    tree: dict[str, Any] = dict(overrides or {})
    if url is not None:
        tree["bridge"] = {**tree.get("bridge", {}), "url": url}
    return load(config, profile=profile, overrides=tree)


@asynccontextmanager
async def _unwrapped() -> AsyncIterator[None]:
    """Lets an error that came alone in a group out of it."""
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        if isinstance(error, PuristaError):
            raise error from None
        raise


def _enabled(services: tuple[Service, ...], settings: Settings) -> tuple[Service, ...]:
    wanted = settings.services.enabled
    if wanted is None:
        return services
    known = {service.name for service in services}
    unknown = sorted(set(wanted) - known)
    if unknown:
        raise ConfigError(
            f"{settings.source}: services.enabled: unknown {', '.join(unknown)}; this application has "
            f"{', '.join(sorted(known)) or 'none'}"
        )
    return tuple(service for service in services if service.name in wanted)


def _service_config(service: Service, settings: Settings) -> msgspec.Struct | None:
    tree = settings.config.get(service.name, {})
    if service.config is None:
        if tree:
            raise ConfigError(f"{settings.source}: config.{service.name}: the service takes no configuration")
        return None
    return fill(service.config, tree, settings.source or "the defaults", f"config.{service.name}")


def _check_needs(services: tuple[Service, ...], bridge: EventBridge, url: str) -> None:
    for service in services:
        for function in (*service.commands.values(), *service.subscriptions.values()):
            if function.durable_events and "disk" not in bridge.capabilities:
                events = ", ".join(sorted(function.durable_events))
                raise BridgeError(
                    f"{function.label} emits {events} with durability='disk', and {url.partition(':')[0]}:// keeps "
                    "nothing on disk. Choose another bridge.url, or leave the service out by services.enabled"
                )
        for subscription in service.subscriptions.values():
            lacking = subscription.needs - bridge.capabilities
            if lacking:
                scheme = url.partition(":")[0]
                raise BridgeError(
                    f"subscription {subscription.label} needs a bridge that is {', '.join(sorted(lacking))}; "
                    f"{scheme}:// is {', '.join(sorted(bridge.capabilities)) or 'none of it'}. Choose another "
                    "bridge.url, or leave the service out by services.enabled"
                )
