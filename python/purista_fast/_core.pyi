"""The Rust core of purista-fast."""

import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from types import GenericAlias
from typing import Any, Final, Generic, ParamSpec, Self, TypeVar, final, overload

from typing_extensions import TypeVar as DefaultTypeVar
from typing_extensions import disjoint_base

from .bridges.base import Request
from .definition import Command, Event
from .schema import Codec
from .stores.configs import Configs
from .stores.secrets import Secrets
from .stores.states import States

__all__ = [
    "Address",
    "Connack",
    "Context",
    "Dispatcher",
    "Emission",
    "Handler",
    "Invocation",
    "LocalCommand",
    "Message",
    "Outlet",
    "PacketReader",
    "Pending",
    "Publish",
    "Serve",
    "Shortcuts",
    "Tally",
    "TopicTree",
    "WireError",
    "__version__",
    "answer",
    "build_profile",
    "clock_state",
    "command_filter",
    "decode",
    "encode",
    "matches",
    "message_topic",
    "new_id",
    "new_traceparent",
    "pack_connect",
    "pack_disconnect",
    "pack_properties",
    "pack_publish",
    "pack_subscribe",
    "pack_unsubscribe",
    "read_control",
    "reseed",
    "response_filter",
    "short_info_filter",
    "snake_case",
    "subscription_filter",
]

__version__: Final[str]
build_profile: Final[str]

_T = TypeVar("_T")
_R = TypeVar("_R")
_P = ParamSpec("_P")
_ConfigT = DefaultTypeVar("_ConfigT", default=Any)
_ResourcesT = DefaultTypeVar("_ResourcesT", default=Any)

class WireError(ValueError):
    """Data that is not a message, or a message that cannot be sent."""

@final
class Address:
    """A service, its version, its target, and perhaps one instance.

    >>> Address("User", "1", "signUp")
    Address("User", "1", "signUp")
    """

    def __new__(
        cls, service_name: str, service_version: str, service_target: str, instance_id: str | None = None
    ) -> Address: ...
    @property
    def service_name(self) -> str:
        """The service, ``User``."""
    @property
    def service_version(self) -> str:
        """Its version, ``1``."""
    @property
    def service_target(self) -> str:
        """The command or subscription; empty for the service itself."""
    @property
    def instance_id(self) -> str | None:
        """The running process, where one is meant."""
    def __hash__(self) -> int: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Message:
    """A message. Its fields become Python objects only when asked for.

    ``payload`` must be one JSON value; it is checked when the message is encoded. ``id`` and ``timestamp``
    (milliseconds since 1970 UTC) are made where they are not given.

    Raises:
        WireError: There is no such message type, or the timestamp is 2^63 or more.

    >>> message = Message("customMessage", sender=Address("User", "1", "signUp", "a"), event_name="newUser")
    >>> message.event_name
    'newUser'
    """

    def __new__(
        cls,
        message_type: str,
        *,
        sender: Address,
        receiver: Address | None = None,
        payload: bytes | None = None,
        id: str | None = None,
        timestamp: int | None = None,
        trace_id: str | None = None,
        correlation_id: str | None = None,
        principal_id: str | None = None,
        tenant_id: str | None = None,
        event_name: str | None = None,
        traceparent: str | None = None,
        tracestate: str | None = None,
        is_handled_error: bool | None = None,
        content_type: str = "application/json",
        content_encoding: str = "utf-8",
    ) -> Message: ...
    @property
    def message_type(self) -> str:
        """What the message is: ``command``, ``customMessage``…"""
    @property
    def id(self) -> str | None:
        """Its id; a response repeats that of its command."""
    @property
    def timestamp(self) -> int | None:
        """When it was made, in milliseconds since 1970 UTC."""
    @property
    def trace_id(self) -> str | None:
        """Joins what belongs to one request."""
    @property
    def correlation_id(self) -> str | None:
        """Joins a response to its command."""
    @property
    def principal_id(self) -> str | None:
        """On whose behalf it was sent."""
    @property
    def tenant_id(self) -> str | None:
        """In whose realm it was sent."""
    @property
    def event_name(self) -> str | None:
        """The event that it stands for."""
    @property
    def sender(self) -> Address:
        """Who sent it."""
    @property
    def receiver(self) -> Address | None:
        """Whom it is for."""
    @property
    def traceparent(self) -> str | None:
        """W3C trace context."""
    @property
    def tracestate(self) -> str | None:
        """W3C trace context of the vendors."""
    @property
    def is_handled_error(self) -> bool | None:
        """In an error response: whether the error was meant for the caller."""
    @property
    def content_type(self) -> str:
        """The type of the payload."""
    @property
    def content_encoding(self) -> str:
        """The encoding of the payload."""
    @property
    def payload(self) -> bytes | None:
        """The payload as JSON; ``None`` if there is none. Taken out of an arrived envelope at each use."""
    def call(self) -> tuple[bytes | None, bytes | None]:
        """The inner payload and the parameter of a command, as JSON.

        Raises:
            WireError: The payload is not an object.
        """
    def derived_id(self, label: str, ordinal: int) -> str:
        """The id of an event that a subscription emits: the same one whenever it handles this message again.

        :param label: the subscription.
        :param ordinal: the how-manieth event of its run it is.
        """
    def unpack(
        self,
    ) -> tuple[
        str,
        str | None,
        str | None,
        str | None,
        str | None,
        str | None,
        str | None,
        Address,
        Address | None,
        bytes | None,
        bytes | None,
    ]:
        """What a message is run by, taken out at once, which costs less than one after the other.

        Message type, correlation id, trace id, principal id, tenant id, event name, traceparent, sender, receiver,
        payload and parameter: of a command those of :meth:`call`, of other messages the payload and ``None``.

        Raises:
            WireError: As :meth:`call`.
        """
    def to_dict(self) -> dict[str, Any]:
        """The message with the names of the wire and its payload as Python objects. Unknown fields are left out.

        Raises:
            ValueError: The payload is not JSON.
        """
    def topic(self, prefix: str = "purista", empty: str = "__none__") -> str:
        """The MQTT topic.

        Raises:
            WireError: A field cannot be a topic level, such as a tenant ``+``.
        """
    def user_properties(self) -> list[tuple[str, str]]:
        """The MQTT user properties, in PURISTA's order."""
    def agrees_with(self, topic: str, prefix: str = "purista", empty: str = "__none__") -> bool:
        """Whether a message that arrived on this topic belongs there. If not, it is forged."""

@final
class TopicTree(Generic[_T]):
    """Values behind MQTT 5 topic filters, ``$share/<group>/…`` included.

    >>> tree: TopicTree[int] = TopicTree()
    >>> tree.insert("plant/+/celsius", 1)
    >>> tree.match("plant/a/celsius")
    [1]
    """

    def __new__(cls) -> TopicTree[_T]: ...
    @classmethod
    def __class_getitem__(cls, item: Any) -> GenericAlias: ...
    def insert(self, filter: str, value: _T) -> None:
        """Puts a value behind a filter. The same value may be there more than once.

        Raises:
            WireError: MQTT does not allow the filter.
        """
    def remove(self, filter: str, value: _T) -> bool:
        """Takes away one equal value from behind this filter (and share group); ``False`` if there is none.

        Raises:
            WireError: MQTT does not allow the filter.
        """
    def match(self, topic: str) -> list[_T]:
        """The values behind the filters that match, in no particular order.

        Raises:
            WireError: MQTT does not allow the topic.
        """
    def __len__(self) -> int: ...

@final
class Dispatcher:
    """Routes messages to bounded queues: into all that want one, or into none.

    Thread-safe; ``wake`` and ``room`` are called by whichever thread offers or takes.

    >>> from purista_fast._core import Address, Dispatcher, Message
    >>> woken = []
    >>> dispatcher = Dispatcher()
    >>> queue = dispatcher.subscribe(10, False, lambda: woken.append("queue"), lambda: None)
    >>> dispatcher.listen(queue, {"eventName": "readingStored"})
    >>> message = Message("customMessage", sender=Address("Thermo", "1", "store", "i"), event_name="readingStored")
    >>> dispatcher.offer(message)
    -1
    >>> woken, dispatcher.take(queue, 64) == [message]
    (['queue'], True)
    """

    def __new__(cls) -> Self: ...
    def subscribe(
        self, capacity: int, drop_oldest: bool, wake: Callable[[], object], room: Callable[[], object]
    ) -> int:
        """Makes a queue and returns its number.

        :param capacity: how many messages may wait in it, at least one.
        :param drop_oldest: whether the oldest makes room for a new one; otherwise the new one is refused.
        :param wake: called when a message arrives and :meth:`take` found none before.
        :param room: called when :meth:`take` made room and a message had been refused.
        """

    def listen(self, queue: int, subscription: Mapping[str, Any]) -> None:
        """Lets what passes a filter (keys of the wire) into the queue. Filters of one queue must not overlap.

        :raises WireError: for a filter of an unknown message type, or with a value that is no text.
        """

    def unsubscribe(self, queue: int) -> int:
        """Takes a queue away; returns how many messages waited in it. Its number may be given to another."""

    def offer(self, message: Message) -> int:
        """Puts a message into every queue that wants it and returns -1, or into none and returns the full one."""

    def deliver(self, queues: Sequence[int], item: object) -> int:
        """Puts anything into these queues and returns -1, or into none and returns the full one."""

    def take(self, queue: int, max: int) -> list[Any]:
        """Takes up to ``max`` items, oldest first. Having found none, the queue is to be woken for."""

    def close(self) -> None:
        """Ends the emission of events through outlets: the bridge stops."""

    def hungry(self, queue: int) -> None:
        """Asks for ``wake`` at the next item, although the last :meth:`take` found some."""

    def blocked(self, queue: int) -> None:
        """Asks for ``room`` at the next :meth:`take`."""

    def depth(self, queue: int) -> tuple[int, int, int]:
        """How many items wait, how many more have room, how many were dropped."""

    def could_match(
        self,
        message_type: str,
        *,
        event_name: str | None = None,
        sender: Address | None = None,
        receiver: Address | None = None,
    ) -> bool:
        """Whether some queue may want a message of this type of which no more is known than this.

        ``None`` stands for anything, ``""`` for nothing.

        :raises ValueError: for an unknown type.
        """

@final
class Context(Generic[_ConfigT, _ResourcesT]):
    """The message at hand, and the way to other services. Made by the application, one for each run of a handler.

    ``Context[Config, Resources]`` gives types to ``config`` and ``resources``.

    >>> from purista_fast import Context, Service
    >>> service = Service("Math")
    >>> @service.command
    ... async def double(ctx: Context, payload: int) -> int:
    ...     return 2 * payload
    >>> @service.command
    ... async def quadruple(ctx: Context, payload: int) -> int:
    ...     return await ctx.invoke(double, await ctx.invoke(double, payload))
    """

    def __new__(cls, scope: Shortcuts, origin: Request | Message, *, numbers_events: bool = False) -> Self: ...
    @classmethod
    def __class_getitem__(cls, types: Any) -> GenericAlias: ...
    @property
    def _scope(self) -> Any: ...
    @property
    def is_live(self) -> bool:
        """Whether this is the context of a running application, and not of a test."""
    @property
    def message(self) -> Message:
        """The message that the handler runs for; of a batch the first one."""
    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages that the handler runs for: those of its batch, in order; one for a handler without a batch."""
    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger of the standard library, bound to service, target and trace."""
    @property
    def trace_id(self) -> str:
        """32 hex digits that all messages of one cause have in common."""
    @property
    def principal_id(self) -> str | None:
        """On whose behalf this runs."""
    @property
    def tenant_id(self) -> str | None:
        """In whose realm this runs."""
    @property
    def instance_id(self) -> str:
        """The running application's name on the bridge."""
    @property
    def config(self) -> _ConfigT:
        """The service's configuration, from ``[config.<service>]``."""
    @property
    def resources(self) -> _ResourcesT:
        """What the application was given: a database pool, a sensor bus."""
    @property
    def states(self) -> States:
        """The service's states: what it keeps over restarts."""
    @property
    def configs(self) -> Configs:
        """The application's configs: values by name, from file and environment."""
    @property
    def secrets(self) -> Secrets:
        """The application's secrets, from files and environment."""
    def invoke(self, command: Command[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> Coroutine[Any, Any, _R]:
        """Has a command run, wherever it is served, and gives its result.

        Trace, principal and tenant go with it. Options of the call are given by ``command.using(timeout=2.0)``.

        :raises HandledError: as the command raised it; 400 if payload or parameter do not fit its schema.
        :raises UnhandledError: 500 if it crashed, 502 if nobody serves it, 504 if no answer came in time.
        :raises DefinitionError: if the handler has an ``invokes`` list without this command.
        :raises TypeError: if the arguments are not those of the command, or no JSON can be made of them.
        """
    @overload
    def emit(self, event: Event[_T], payload: _T, /) -> Coroutine[Any, Any, None]:
        """Emits an event; trace, principal and tenant go with it. What a return promises is the bridge's to say.

        In a subscription the event's id follows from that of the message at hand and from how many were emitted before
        it: when the handler is tried again, its events are recognised as the same.

        :raises PayloadError: if the payload does not fit the event's type.
        :raises UnhandledError: 503 if a queue stayed full for ``queue_timeout``; 507 if there is no room to keep it.
        :raises BridgeError: if it has to be on disk (``durability="disk"``), and the bridge has none.
        :raises DefinitionError: if the handler has an ``emits`` list without this event.
        """
    @overload
    def emit(self, event: Event[None], /) -> Coroutine[Any, Any, None]: ...
    @overload
    def emit(self, event: str, payload: Any = None, /) -> Coroutine[Any, Any, None]: ...

@disjoint_base
class Shortcuts:
    """The commands that the runs of one handler invoke, and the events that they emit, where these stay in the process.

    A context that finds one here makes no request for it, and asks the runtime nothing.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self: ...
    def learn_command(self, command: Command[..., Any]) -> None:
        """Is asked to call :meth:`invokes_locally` for a command that is not known, if that may be."""
    def learn_event(self, event: Event[Any] | str) -> None:
        """Is asked to call :meth:`emits_locally` for an event that is not known, if that may be."""
    def invokes_locally(self, command: Command[..., Any], local: LocalCommand, timeout: float) -> None:
        """Lets a command run without a detour while it is open.

        :param timeout: in seconds.
        """
    def emits_locally(self, event: Event[Any], outlet: Outlet) -> None:
        """Lets an event go through its outlet while the dispatcher is open."""

@final
class LocalCommand:
    """A command that is served in this process, as its callers run it: from payload to result, both through JSON.

    :param handler: an async function of the context, and of the payload if there is one.
    :param fail: makes the error for the caller of that which was raised; is given the payload, as JSON, if that does
        not fit.
    """

    def __new__(
        cls,
        scope: Shortcuts,
        handler: Callable[..., Awaitable[Any]],
        payload: Codec[Any] | None,
        result: Codec[Any],
        fail: Callable[[BaseException, Context[Any, Any], bytes | None], BaseException],
    ) -> Self: ...
    def open(self, arm: Callable[[Any], object]) -> None:
        """Lets it run without a detour; ``arm`` as for :class:`Invocation`."""
    def close(self) -> None:
        """Ends that; those that run already run on."""
    @property
    def is_open(self) -> bool:
        """Whether it may run without a detour."""
    @property
    def running(self) -> int:
        """How many runs of it have begun so and not ended."""

class _Coroutine:
    """What passes for a coroutine without a frame of its own."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> Any: ...
    def send(self, value: object) -> Any: ...
    def throw(self, *error: Any) -> Any: ...
    def close(self) -> None: ...
    __name__: str
    @property
    def cr_await(self) -> Any: ...
    @property
    def cr_frame(self) -> None: ...
    @property
    def cr_running(self) -> bool: ...
    @property
    def cr_suspended(self) -> bool: ...

@final
class Invocation(_Coroutine):
    """Awaits a command in the task of whoever awaits this: a coroutine from elsewhere, or a :class:`LocalCommand`.

    When it first waits, ``arm(request)`` is called, once. What it returns is told of the end by ``settle(error)``,
    with the error that it ended with or ``None``; the error that it returns is raised instead.
    """

    def __new__(cls, coroutine: Awaitable[Any], arm: Callable[[_R], object], request: _R) -> Self: ...
    def __await__(self) -> Generator[Any, Any, Any]: ...

@final
class Outlet:
    """Where the events of one name go from one handler, if all who want them are in this process.

    :param label: the handler.
    :param wait: hands over a message for which there was no room at once.
    """

    def __new__(
        cls,
        name: str,
        label: str,
        sender: Address,
        codec: Codec[Any],
        dispatcher: Dispatcher,
        wait: Callable[[Message], Awaitable[None]],
    ) -> Self: ...

@final
class Emission(_Coroutine):
    """Emits an event through its outlet when it is awaited."""

    def __await__(self) -> Generator[Any, Any]: ...

@final
class Handler:
    """The handler of a subscription, for messages that need no more than to be handled.

    :param handler: an async function of the context, and of the payload if there is one.
    """

    def __new__(cls, scope: Shortcuts, handler: Callable[..., Awaitable[Any]], codec: Codec[Any] | None) -> Self: ...

@final
class Tally:
    """What the workers of a queue have done."""

    def __new__(cls) -> Self: ...
    @property
    def taken(self) -> int:
        """How many items are being handled."""
    @property
    def handled(self) -> int:
        """How many were handled."""
    def stop(self) -> None:
        """Lets the workers take nothing more."""

@final
class Serve(_Coroutine):
    """Takes items from a queue and awaits what handles them, one after the other, in the task of whoever awaits this.

    Gives ``False`` if the queue is empty, and ``True`` to let others run: after a millisecond without that, or after
    each item if the work is shared.

    :param run: what handles an item; its errors end the work.
    :param handler: handles messages in place of ``run`` where it can.
    :param fail: is told of a message and of what ``handler`` raised for it; what it raises ends the work.
    :param share: called for each item that was taken, to let others take the next.
    """

    def __new__(
        cls,
        dispatcher: Dispatcher,
        queue: int,
        tally: Tally,
        run: Callable[[Any], Awaitable[None]],
        *,
        fail: Callable[[Message, BaseException], None] | None = None,
        handler: Handler | None = None,
        share: Callable[[], object] | None = None,
    ) -> Self: ...
    def __await__(self) -> Generator[Any, Any, bool]: ...

@final
class Pending:
    """Calls that wait for their answers, by correlation id, each until its deadline.

    Times are seconds of any clock that does not go back.

    >>> from purista_fast._core import Pending
    >>> pending = Pending()
    >>> pending.insert("c1", "who waits", 5.0), pending.insert("c1", "another", 5.0)
    (True, False)
    >>> pending.next_deadline(), pending.expire(4.9), pending.expire(5.0), len(pending)
    (5.0, [], ['who waits'], 0)
    """

    def __new__(cls) -> Self: ...
    def insert(self, id: str, waiter: object, deadline: float) -> bool:
        """Adds a call; ``False`` if its id waits already.

        :raises ValueError: if the deadline is negative or no number.
        """

    def remove(self, id: str) -> Any | None:
        """Takes a call out and returns who waits; ``None`` if nobody does."""

    def expire(self, now: float) -> list[Any]:
        """Takes out all whose deadline is ``now`` or earlier, and returns them in that order."""

    def next_deadline(self) -> float | None:
        """When the first call expires."""

    def drain(self) -> list[Any]:
        """Takes out all."""

    def __len__(self) -> int: ...

@final
class PacketReader:
    r"""Finds the MQTT 5 packets in what a connection brings.

    What is larger than ``max_packet`` bytes ends the connection. Of a message whose properties or payload are larger,
    or that has more user properties, nothing is kept but topic and packet id.

    >>> from purista_fast._core import PacketReader
    >>> reader = PacketReader(max_packet=1000, max_payload=100, max_properties=100, max_user_properties=10)
    >>> reader.feed(bytes.fromhex("40020007 d000 3006"))
    [(7, 0), b'\xd0\x00']
    >>> [(publish.topic, publish.payload) for publish in reader.feed(bytes.fromhex("000174007879"))]
    [('t', b'xy')]
    """

    def __new__(
        cls, *, max_packet: int, max_payload: int, max_properties: int, max_user_properties: int
    ) -> PacketReader: ...
    def feed(self, data: bytes) -> list[Publish | tuple[int, int] | bytes | WireError]:
        """The packets that are complete now, in order: a PUBLISH, packet id and reason code of a PUBACK, the bytes of
        any other; an error, after which nothing comes, for what is no MQTT 5."""

@final
class Connack:
    """The answer to a CONNECT (MQTT 5, 3.2). What the broker does not say has the value that MQTT gives it."""

    def __new__(
        cls,
        *,
        session_present: bool,
        code: int,
        receive_maximum: int,
        maximum_packet_size: int | None,
        server_keep_alive: int | None,
        maximum_qos: int,
        retain_available: bool,
        wildcard_available: bool,
        identifiers_available: bool,
        shared_available: bool,
    ) -> Connack: ...
    @property
    def session_present(self) -> bool:
        """Whether the broker has a session of this client."""
    @property
    def code(self) -> int:
        """The reason code; 0x84 also from a broker that only speaks MQTT 3."""
    @property
    def receive_maximum(self) -> int:
        """How many publishings may be unacknowledged."""
    @property
    def maximum_packet_size(self) -> int | None:
        """The largest packet that the broker takes, in bytes; ``None`` if any."""
    @property
    def server_keep_alive(self) -> int | None:
        """The keep-alive that the broker wants instead of ours, in seconds."""
    @property
    def maximum_qos(self) -> int:
        """The highest quality of service that it takes."""
    @property
    def retain_available(self) -> bool:
        """Whether it keeps messages."""
    @property
    def wildcard_available(self) -> bool:
        """Whether filters may have wildcards."""
    @property
    def identifiers_available(self) -> bool:
        """Whether subscriptions may have identifiers."""
    @property
    def shared_available(self) -> bool:
        """Whether subscriptions may be shared."""

@final
class Publish:
    """A PUBLISH that has arrived."""

    @property
    def topic(self) -> str | None:
        """Its topic; ``None`` if that is not UTF-8."""
    @property
    def qos(self) -> int:
        """0 or 1."""
    @property
    def dup(self) -> bool:
        """Whether the broker may have sent it before."""
    @property
    def retain(self) -> bool:
        """Whether the broker had kept it."""
    @property
    def mid(self) -> int:
        """The packet id; 0 with QoS 0."""
    @property
    def expiry(self) -> int | None:
        """For how many more seconds it counts; ``None`` if it does not say."""
    @property
    def identifiers(self) -> tuple[int, ...]:
        """The identifiers of the subscriptions that it arrived for."""
    @property
    def payload(self) -> bytes:
        """What it carries; empty if it is refused."""
    @property
    def refusal(self) -> str | None:
        """Why nobody is to look at it."""

def answer(
    command: Message, sender: Address, payload: bytes | None, event_name: str | None = None, is_checked: bool = False
) -> Message:
    """The success response to a command: its id, its principal and tenant, in its trace, for its sender.

    :param is_checked: whether the payload is known to be one JSON value of at most 255 levels. Then it is not looked
        at again when the message is encoded; receivers refuse the message if it is none.

    >>> from purista_fast._core import Address, Message, answer
    >>> client, service = Address("Client", "1", "client", "a"), Address("User", "1", "signUp")
    >>> command = Message("command", sender=client, receiver=service, correlation_id="c", payload=b"{}")
    >>> response = answer(command, service, b"[1]")
    >>> response.message_type, response.correlation_id, response.receiver == client
    ('commandSuccessResponse', 'c', True)
    """

def snake_case(text: str) -> str:
    """What a text becomes as a topic level.

    >>> snake_case("userSignUp")
    'user_sign_up'
    """

def clock_state() -> int:
    """What adjtimex(2) says of the wall clock, -1 where it says nothing; 5 if it is not synchronised."""

def new_id() -> str:
    """A random id: 32 lower-case hex digits, never all zero."""

def new_traceparent(parent: str | None = None) -> str:
    """A W3C ``traceparent`` with a new span, in the trace of ``parent`` if that is valid, else in a new one."""

def reseed() -> None:
    """Seeds the generator of ids anew. Called by itself after a fork."""

def pack_properties(message: Message, expiry: int) -> bytes:
    """The MQTT properties of a message as they are sent, with their length in front.

    :param expiry: for how long the broker may keep it, in seconds.

    Raises:
        WireError: A text has control characters or is longer than 65535 bytes.
    """

def pack_publish(topic: str, mid: int, properties: bytes, payload: bytes, retain: bool) -> bytes:
    """A PUBLISH of QoS 1.

    :param mid: the packet id.
    :param properties: packed, with their length in front.

    Raises:
        WireError: It would be longer than MQTT allows, or the topic cannot be sent.
    """

def pack_connect(
    client_id: str,
    *,
    clean_start: bool,
    keep_alive: int,
    session_expiry: int,
    receive_maximum: int,
    maximum_packet_size: int,
    will: tuple[str, bytes, int, int, str, list[tuple[str, str]]] | None = None,
    username: str | None = None,
    password: bytes | None = None,
) -> bytes:
    """A CONNECT (MQTT 5, 3.1).

    :param keep_alive: in seconds, as ``session_expiry``.
    :param maximum_packet_size: in bytes.
    :param will: its topic, payload, delay and expiry in seconds, content type and user properties; of QoS 1.

    Raises:
        WireError: A text has control characters, or a text, the password or the will is longer than 65535 bytes.
    """

def pack_subscribe(mid: int, filter: str, identifier: int | None, options: int) -> bytes:
    """A SUBSCRIBE to one filter (MQTT 5, 3.8).

    >>> pack_subscribe(1000, "a/b", 7, 1).hex()
    '820b03e8020b070003612f6201'

    :param mid: the packet id.
    :param identifier: the subscription identifier.
    :param options: quality of service, no local, retain as published, retain handling (3.8.3.1).

    Raises:
        WireError: The filter has control characters or is longer than 65535 bytes.
    """

def pack_unsubscribe(mid: int, filter: str) -> bytes:
    """An UNSUBSCRIBE of one filter (MQTT 5, 3.10).

    Raises:
        WireError: The filter has control characters or is longer than 65535 bytes.
    """

def pack_disconnect(session_expiry: int) -> bytes:
    """A DISCONNECT (MQTT 5, 3.14), and for how many seconds the broker is to keep the session."""

def read_control(packet: bytes) -> Connack | tuple[int, bytes] | int | None:
    """What a packet says that is neither PUBLISH nor PUBACK: a CONNACK; packet id and reason codes of a SUBACK or an
    UNSUBACK; the reason code of a DISCONNECT; ``None`` for a PINGRESP.

    >>> read_control(bytes.fromhex("9004000a0001"))
    (10, b'\\x01')

    Raises:
        WireError: It is none of these, or not as MQTT 5 has it.
    """

def message_topic(message: Mapping[str, Any] | Message, *, prefix: str = "purista", empty: str = "__none__") -> str:
    """The topic of a message; ``empty`` stands for an absent text.

    Raises:
        WireError: A field has the wrong type or cannot be a topic level, or the topic would be too long.

    >>> message_topic({"messageType": "customMessage", "eventName": "newUser"})
    'purista/custom_message/none/none/none/none/none/none/new_user/none/none/none/none'
    """

def subscription_filter(
    subscription: Mapping[str, Any],
    *,
    shared: bool,
    prefix: str = "purista",
    share_prefix: str = "$share",
    share_name: str = "sharedpurista",
    empty: str = "__none__",
) -> str:
    """The topic filter of a subscription. What it does not filter on, and a text ``+``, is a wildcard.

    ``empty`` is taken for symmetry with `message_topic` and has no effect.

    Raises:
        WireError: A field has the wrong type or cannot be a topic level, or the filter would be too long.
    """

def short_info_filter(
    subscription: Mapping[str, Any],
    *,
    shared: bool,
    prefix: str = "purista",
    share_prefix: str = "$share",
    share_name: str = "sharedpurista",
    empty: str = "__none__",
) -> str | None:
    """The 12-level form in which PURISTA publishes info messages of services, to subscribe beside the other.

    ``None`` if the subscription is not on one type of info messages, or names a target of the sender.

    Raises:
        WireError: As `subscription_filter`.
    """

def command_filter(
    address: Mapping[str, Any],
    *,
    shared: bool = True,
    prefix: str = "purista",
    share_prefix: str = "$share",
    share_name: str = "sharedpurista",
    empty: str = "__none__",
) -> str:
    """The topic filter for the calls of a command, whichever instance they name.

    Raises:
        WireError: A part of the address is empty, ``+``, or cannot be a topic level.
    """

def response_filter(instance_id: str, *, prefix: str = "purista", empty: str = "__none__") -> str:
    """The topic filter for all that is sent to one instance.

    Raises:
        WireError: The id is empty, ``+``, or cannot be a topic level.
    """

def matches(subscription: Mapping[str, Any], message: Mapping[str, Any] | Message) -> bool:
    """Whether a message passes a subscription: exactly, with regard to case, as PURISTA compares in memory.

    Raises:
        WireError: A field has the wrong type.
    """

def decode(data: bytes | bytearray | memoryview) -> Message:
    """The message in an envelope.

    Raises:
        WireError: The data is not one, with the field and byte at which it shows.
        TypeError: ``data`` is not bytes-like.
    """

def encode(message: Message | Mapping[str, Any]) -> bytes:
    """The envelope of a message. An arrived message keeps its own; unknown keys of a mapping are kept.

    Raises:
        WireError: The message could not be decoded again: a field is missing or has the wrong type, or the
            payload is not JSON.
    """
