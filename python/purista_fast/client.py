"""The way into services from outside of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

import anyio

from ._core import Address, Message
from .bridges.base import Consumer
from .definition import Command, Event
from .presence import Instance, ask

if TYPE_CHECKING:
    from .health import Health
    from .runtime import Runtime
    from .stores.configs import Configs
    from .stores.secrets import Secrets
    from .stores.states import States
from .scope import Scope

__all__ = ("Client",)

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Client:
    """Invokes commands, emits events and listens, without a service of its own.

    Comes from ``async with app.serve() as client`` or ``async with connect(url) as client``.
    """

    __slots__ = ("_origin", "_runtime", "_scope")

    def __init__(
        self,
        runtime: Runtime,
        scope: Scope,
        *,
        trace_id: str | None = None,
        principal_id: str | None = None,
        tenant_id: str | None = None,
    ) -> None:
        self._runtime = runtime
        self._scope = scope
        self._origin = {"trace_id": trace_id, "principal_id": principal_id, "tenant_id": tenant_id}

    @property
    def instance_id(self) -> str:
        """This process's name on the bridge."""
        return self._scope.address.instance_id or ""

    @property
    def states(self) -> States:
        """What the client keeps under its own name; ``client.states.of("Thermo")`` is what a service keeps."""
        return self._scope.states

    @property
    def configs(self) -> Configs:
        """The application's configs: values by name, from file and environment."""
        return self._scope.configs

    @property
    def secrets(self) -> Secrets:
        """The application's secrets, from files and environment."""
        return self._scope.secrets

    def acting(
        self, *, principal_id: str | None = None, tenant_id: str | None = None, trace_id: str | None = None
    ) -> Client:
        """The same client on behalf of a principal and a tenant, within a trace. What is left out stays as it is."""
        given = {"trace_id": trace_id, "principal_id": principal_id, "tenant_id": tenant_id}
        merged = {**self._origin, **{key: value for key, value in given.items() if value is not None}}
        return Client(self._runtime, self._scope, **merged)

    def invoke(self, command: Command[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Has a command run, wherever it is served, and gives its result; see :meth:`Context.invoke`."""
        return self._runtime.invoke(self._scope, self._runtime.root(self._scope, **self._origin), command, args, kwargs)

    @overload
    def emit(self, event: Event[T], payload: T, /) -> Coroutine[Any, Any, None]: ...
    @overload
    def emit(self, event: Event[None], /) -> Coroutine[Any, Any, None]: ...
    @overload
    def emit(self, event: str, payload: Any = None, /) -> Coroutine[Any, Any, None]: ...
    def emit(self, event: Event[Any] | str, payload: Any = None, /) -> Coroutine[Any, Any, None]:
        """Emits an event; see :meth:`Context.emit`. Waits for room as long as it takes."""
        return self._runtime.emit(self._scope, self._runtime.root(self._scope, **self._origin), event, payload)

    @asynccontextmanager
    async def listen(
        self, event: Event[Any] | str | None = None, *, message_type: str | None = None, buffer: int = 1000
    ) -> AsyncIterator[AsyncIterator[Message]]:
        """The messages that pass by, from now on: all, those of an event, or those of a type.

        ::

            async with client.listen(reading_stored) as messages:
                async for message in messages:
                    print(message.event_name, message.payload)

        :param buffer: how many messages may wait to be read; the oldest are dropped when there are more.
        """
        name = event.name if isinstance(event, Event) else event
        send, receive = anyio.create_memory_object_stream[Message](1)

        async def put(message: Message) -> None:
            with suppress(anyio.ClosedResourceError):  # the block has ended
                await send.send(message)

        consumer = Consumer(
            address=self._scope.address,
            subscription={"eventName": name} if name else {},
            message_types=(message_type,) if message_type else (),
            handle=put,
            shared=False,
            capacity=buffer,
            drop_oldest=True,
        )
        async with send, receive:
            remove = await self._runtime.bridge.tap(consumer)
            try:
                yield receive
            finally:
                with anyio.CancelScope(shield=True):
                    await remove()

    async def alive(self, timeout: float = 1.0) -> list[Instance]:
        """Who is alive: all applications that answer in time, this one included if it has services.

        :param timeout: how long to wait for answers, in seconds; all of it is waited.
        :raises UnhandledError: 503 if there is no connection, or the question is not taken in that time.
        """
        return await ask(self._runtime.bridge, self._scope.address, timeout)

    def health(self) -> Health:
        """How this process is: connection, outbox, queues, errors. Ask others by :data:`purista_fast.health.health`."""
        reporter = self._runtime.reporter
        assert reporter is not None, "an application sets it before it starts"
        return reporter.report()

    def statistics(self) -> dict[str, Any]:
        """The bridge's counters and queue depths; those of an uplink under ``uplink``."""
        return self._runtime.statistics()


def client_address(name: str, instance_id: str, version: str = "1", target: str = "client") -> Address:
    """The address under which a client sends."""
    return Address(name, version, target, instance_id)
