"""An application: services, a bridge, and their life from start to stop."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from ._core import Address
from .bridges import check_retirement, open_bridge
from .client import Client
from .config import Settings, load
from .errors import BridgeError, DefinitionError, PuristaError
from .needs import enabled, lacking, service_config
from .running import Running
from .scope import Scope
from .service import Service

if TYPE_CHECKING:
    from .bridges.mqtt.retire import Retired
    from .bridges.mqtt.token import Token
    from .health import Health
    from .notify import Manager

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
    :param token: gives the password for each connection to the broker of ``bridge.url``, on ``memory://`` to that of an
        uplink: a function, async or not (that runs in a thread), with at most ``connect_timeout`` seconds of time. If
        it fails, so has the attempt to connect.
    :raises DefinitionError: if two services have the same name and version.
    """

    def __init__(
        self, *services: Service, resources: Any = None, name: str | None = None, token: Token | None = None
    ) -> None:
        seen: dict[tuple[str, str], Service] = {}
        for service in services:
            if seen.setdefault((service.name, service.version), service) is not service:
                raise DefinitionError(f"two services are called {service.name}/{service.version}")
        self.services = tuple(seen.values())
        self.name = name or (services[0].name if services else "app")
        self._resources = resources
        self._token = token
        self._runs: list[Running] = []

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
        async with self._serve(settings) as client:
            yield client

    def health(self) -> Health:
        """How the application is while it runs: connection, outbox, queues, errors.

        :raises BridgeError: if it does not run, or runs more than once in this process.
        """
        if len(self._runs) != 1:
            found = f"runs {len(self._runs)} times in this process" if self._runs else "does not run"
            raise BridgeError(
                f"{self.name} {found}, so it has no health of its own: ask the client that `async with app.serve()` "
                "gives, by client.health()"
            )
        return self._runs[0].reporter.report()

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
    async def _serve(self, settings: Settings, manager: Manager | None = None) -> AsyncIterator[Client]:
        async with self._open(settings) as running, _unwrapped(), running.run(manager) as client:
            self._runs.append(running)
            try:
                yield client
            finally:
                self._runs.remove(running)

    @asynccontextmanager
    async def _open(self, settings: Settings) -> AsyncIterator[Running]:
        """What is about to run, its resources open."""
        services = enabled(self.services, settings)
        uplink = None
        if settings.uplink is not None and settings.uplink.enabled and settings.app.worker <= 1:
            from .uplink.uplink import Uplink  # most applications have none

            uplink = Uplink(settings, services, name=self.name, token=self._token)
            event_bridge = uplink.local
        else:
            event_bridge = open_bridge(settings, name=self.name, token=self._token)
        for problem in lacking(services, event_bridge.capabilities, settings.bridge.url):
            raise BridgeError(f"{problem}. Choose another bridge.url, or leave the service out by services.enabled")
        configs = {service: service_config(service, settings) for service in services}
        async with AsyncExitStack() as stack:
            resources = self._resources
            if callable(resources):
                opened: Any = resources()
                resources = await stack.enter_async_context(opened)
            yield Running(self.name, event_bridge, settings, services, configs, resources, uplink)

    def run(
        self,
        *,
        bridge: str | None = None,
        profile: str | None = None,
        config: str | os.PathLike[str] | None = None,
        overrides: Mapping[str, Any] | None = None,
        backend: str = "asyncio",
    ) -> None:
        """Runs the application until SIGTERM or SIGINT (Ctrl-C), which end a start as well; the arguments are those of
        :meth:`serve`.

        A service manager that has set ``NOTIFY_SOCKET``, such as systemd, is told when it is ready and when it stops,
        and gets the signs of life that it asks for (``WATCHDOG_USEC``).

        :param backend: ``"asyncio"`` or ``"trio"``.
        :raises ConfigError: for settings that are wrong, or variables of the service manager that are.
        :raises BridgeError: as :meth:`serve` does.
        """
        settings = _settings(bridge, profile, config, overrides)

        async def main() -> None:
            manager, failure = _manager(), None
            start, ready, stop = anyio.CancelScope(), anyio.Event(), anyio.Event()

            async def obey() -> None:
                async for number in signals:
                    logger.info("%s: stopping", signal.Signals(number).name)
                    stop.set()
                    if not ready.is_set():
                        start.cancel()  # it may wait long for a broker
                    break

            with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(obey)
                    try:
                        with start:
                            async with self._serve(settings, manager) as client:
                                ready.set()
                                logger.info("%s is ready as instance %s", self.name, client.instance_id)
                                await stop.wait()
                    except Exception as error:  # noqa: BLE001 - raised again below, not wrapped in a group
                        failure = error
                    tasks.cancel_scope.cancel()
            if failure is not None:
                raise failure

        anyio.run(main, backend=backend)


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
    token: Token | None = None,
) -> AsyncIterator[Client]:
    """A client of services that run elsewhere::

        async with connect("mqtts://broker.example") as client:
            user = await client.invoke(sign_up, SignUp("a@example.com"))

    :param url: the bridge; ``bridge.url`` of the configuration unless given.
    :param name: the service name under which messages are sent; with ``version`` and ``target`` the sender's address.
    :param token: gives the password for each connection, as that of :class:`App`.
    :raises ConfigError: for settings that are wrong.
    :raises BridgeError: if the bridge cannot start or is lost for good.
    """
    settings = _settings(url, profile, config, overrides)
    bridge = open_bridge(settings, name="client", token=token)
    running = Running(name, bridge, settings, (), {}, None)
    async with _unwrapped(), running.run():
        scope = Scope(running.runtime, Address(name, version, target, bridge.instance_id), running.stores)
        yield Client(running.runtime, scope)


def _manager() -> Manager | None:
    """The service manager that has started this process; most have been started by nobody."""
    if not os.environ.get("NOTIFY_SOCKET"):
        return None
    from .notify import Manager

    return Manager()


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
