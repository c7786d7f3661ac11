"""What a bridge is: it carries commands and events, and knows addresses, filters and callables, but no services."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from .._core import Address, Dispatcher, Handler, LocalCommand, Message
from ..policy import DEFAULT_KEEPING, DEFAULT_RETRY, Batch, Keeping, Retry

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

__all__ = ("Capability", "Consumer", "Endpoint", "EventBridge", "Gathering", "Request")

Capability = Literal["durable", "shared", "remote", "disk", "retry"]
"""What a service may ask of a bridge: ``durable`` keeps an event over a restart of the subscriber, ``shared`` shares
the load between instances, ``remote`` reaches other processes, ``disk`` keeps an event over a restart of the emitter
(``Event(durability="disk")``), ``retry`` tries failing subscriptions again."""


class Request(msgspec.Struct, kw_only=True):
    """One invocation, from whichever side it comes."""

    sender: Address
    receiver: Address
    timeout: float
    """In seconds, from when the bridge gets the request."""
    payload: bytes | None = None
    """JSON; ``None`` if the command has no payload."""
    parameter: bytes | None = None
    """JSON object; ``None`` if there is no parameter."""
    trace_id: str | None = None
    principal_id: str | None = None
    tenant_id: str | None = None
    traceparent: str | None = None
    event_name: str | None = None
    """The event that the command itself stands for."""
    message: Message | None = None
    """The message that it came in, if it came in one."""
    reply: object = None
    """What the caller decodes the result with: where it is the very schema of the command, the command need not."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A command that is served here."""

    address: Address
    execute: Callable[[Request], Awaitable[bytes]]
    """Runs the command and returns the result as JSON.

    Raises ``HandledError`` for what the caller may see and ``UnhandledError`` for all else; never another
    ``Exception``.
    """
    local: LocalCommand | None = None
    """The same for callers in this process, without a :class:`Request`; closed until the bridge opens it."""
    success_event: str | None = None
    """The event name that a success response carries."""
    keeping: Keeping = DEFAULT_KEEPING
    """How that event is kept."""
    schema: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """What ``infoServiceFunctionAdded`` tells others about it."""
    result: Any = Any
    """The type that a result of a request without ``reply`` was decoded as."""
    is_internal: bool = False
    """Whether it is the framework's own: not one of the services, and not refused when there are too many commands."""


class Gathering(msgspec.Struct, frozen=True, kw_only=True):
    """How the messages of a subscription are handled together."""

    batch: Batch
    read: Callable[[Message], Any]
    """The payload of a message, decoded; raises ``HandledError`` if it does not fit."""
    handle: Callable[[Sequence[Message], list[Any]], Awaitable[None]]
    """Handles messages with their payloads; an ``Exception`` that it raises is reported by the bridge."""


class Consumer(msgspec.Struct, frozen=True, kw_only=True):
    """A subscription that is served here."""

    address: Address
    subscription: Mapping[str, Any]
    """The filter, with the keys of the wire, without ``messageType``."""
    message_types: tuple[str, ...] = ()
    """The types of messages wanted; empty for all."""
    handle: Callable[[Message], Awaitable[None]]
    """Handles one message; an ``Exception`` that it raises is reported by the bridge."""
    handler: Handler | None = None
    """The same, for a bridge that has no more to do for a message than to have it handled."""
    failed: Callable[[BaseException], BaseException] = lambda error: error
    """To be told of what ``handler`` raised; gives what to report, or to raise if that is no ``Exception``."""
    shared: bool = True
    """One instance of the service gets a message, not each."""
    concurrency: int = 1
    """How many messages are handled at the same time; 1 keeps their order."""
    capacity: int = 1000
    """How many messages may wait."""
    retry: Retry = DEFAULT_RETRY
    """How often it is tried, on a bridge that tries again."""
    deduplicate: bool = False
    """Whether a message whose id it has handled is left out."""
    gathering: Gathering | None = None
    """How its messages are handled together, if they are."""
    drop_oldest: bool = False
    """Whether the oldest waiting message makes room for a new one; otherwise the emitter waits."""
    is_internal: bool = False
    """Whether it is the framework's own: not of the services that others are told of."""


class EventBridge(Protocol):
    """Carries commands and events. Made by :func:`purista_fast.bridges.open_bridge`; used by one application, once."""

    instance_id: str
    capabilities: frozenset[Capability]

    @property
    def dispatcher(self) -> Dispatcher | None:
        """What takes every event of this process, if that is all there is to emit one."""
        ...

    def serve(self, endpoint: Endpoint) -> None:
        """Adds a command; before :meth:`start`.

        :raises DefinitionError: if its address is served already.
        """
        ...

    def listen(self, consumer: Consumer) -> None:
        """Adds a subscription; before :meth:`start`.

        :raises DefinitionError: if its filter cannot be expressed on this bridge.
        """
        ...

    async def start(self, tasks: TaskGroup) -> None:
        """Connects, and begins to serve; background work runs in ``tasks``.

        :raises BridgeError: if it cannot, with what to do about it.
        """
        ...

    def invoke(self, request: Request) -> Awaitable[bytes]:
        """Has a command run, wherever it is served, and returns its result as JSON.

        :raises HandledError: as the command raised it.
        :raises UnhandledError: 500 if it crashed, 502 if nobody serves it (where the bridge can know), 504 if no
            answer came within ``request.timeout``.
        """
        ...

    async def emit(self, message: Message, timeout: float | None = None, keeping: Keeping = DEFAULT_KEEPING) -> None:
        """Hands a message over; what a return promises is the bridge's to say.

        :param timeout: how long to wait for room, in seconds; ``None`` for as long as it takes.
        :param keeping: how an event is kept that cannot go on now, on a bridge that can keep events.
        :raises UnhandledError: 503 if there was no room in time, with the name of the full queue; 507 if there is no
            room to keep it.
        """
        ...

    async def tap(self, consumer: Consumer) -> Callable[[], Awaitable[None]]:
        """Adds a consumer that lasts as long as this process, while the bridge runs; returns what takes it away.

        Every tap gets every message that passes its filter, from when this returns.
        """
        ...

    @property
    def is_connected(self) -> bool:
        """Whether others can be reached now; always, where there is nothing to connect to."""
        ...

    def on_connected(self, tell: Callable[[], None]) -> None:
        """Has this called, once, after each connection: the first one, and those after a loss. It must not wait.

        Never called where there is nothing to connect to.
        """
        ...

    def ailment(self) -> str | None:
        """What keeps the bridge from working until the process is started anew; ``None`` if nothing does.

        A lost connection is none: it is looked for.
        """
        ...

    async def drain(self, timeout: float) -> int:
        """Takes nothing new and finishes what is under way; returns how many messages were left unhandled.

        :param timeout: how long that may take, in seconds.
        """
        ...

    async def stop(self) -> None:
        """Disconnects. Whatever still waits for an answer gets an ``UnhandledError`` 503."""
        ...

    def statistics(self) -> dict[str, Any]:
        """Counters and depths, by name."""
        ...
