"""What services are made of: commands, subscriptions, events. Plain data, no behaviour of a running application."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from math import inf
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

import msgspec

from ._core import snake_case
from .errors import DefinitionError
from .policy import DEFAULT_RETRY, Batch, Durability, Keeping, Overflow, Retry
from .schedules import Cron, Every
from .schema import Codec, Signature

if TYPE_CHECKING:
    from .bridges.base import Capability
    from .context import Context

__all__ = ("Command", "Event", "Guard", "Subscription", "Timer", "remote", "untyped")

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

Guard = Callable[["Context[Any, Any]", Any, Mapping[str, Any]], Awaitable[None]]
"""An async function of context, payload and parameter that rejects by raising."""


class Event(Generic[T]):
    """An event: its name on the wire, the type of its payload, and how it is kept while it cannot be sent.

    >>> Event("readingStored", dict[str, float])
    Event('readingStored', dict[str, float])

    :param durability: ``"disk"`` has it on disk before ``emit`` returns, ``"broker"`` only if the broker does not
        acknowledge it in time; ``[outbox]`` decides unless given. A bridge without a disk refuses to start.
    :param ordered: whether it waits for earlier events of its name that are on disk still.
    :param overflow: what happens if there is no room on disk: ``"reject"`` raises 507, ``"drop_oldest"`` drops the
        oldest of this name, ``"drop_newest"`` this one, ``"block"`` waits; ``[outbox]`` decides unless given.
    :param external: whether it comes from outside of the application, so that ``purista-fast check`` does not ask
        which of its services emits it.
    :raises DefinitionError: if the name is empty, the type unknown to msgspec, or the rest none of these.
    """

    __slots__ = ("codec", "external", "keeping", "name")

    # Two of them, because mypy infers nothing from a union with Any.
    @overload
    def __init__(
        self,
        name: str,
        type: type[T],
        *,
        durability: Durability | None = ...,
        ordered: bool = ...,
        overflow: Overflow | None = ...,
        external: bool = ...,
    ) -> None: ...
    @overload
    def __init__(
        self: Event[Any],
        name: str,
        type: Any = ...,
        *,
        durability: Durability | None = ...,
        ordered: bool = ...,
        overflow: Overflow | None = ...,
        external: bool = ...,
    ) -> None: ...
    def __init__(
        self,
        name: str,
        type: Any = Any,
        *,
        durability: Durability | None = None,
        ordered: bool = True,
        overflow: Overflow | None = None,
        external: bool = False,
    ) -> None:
        self.name = check_name(name, "an event")
        self.codec: Codec[T] = Codec(type)
        self.keeping = Keeping(durability, ordered, overflow)
        self.external = external

    def __repr__(self) -> str:
        annotation = self.codec.type
        plain = isinstance(annotation, type) and not hasattr(annotation, "__args__")
        return f"Event({self.name!r}, {annotation.__name__ if plain else repr(annotation)})"


class Function(msgspec.Struct, kw_only=True, eq=False):
    """What commands and subscriptions have in common."""

    function: Callable[..., Any]
    service_name: str
    service_version: str
    name: str
    signature: Signature
    description: str = ""
    before: tuple[Guard, ...] = ()
    after: tuple[Guard, ...] = ()
    invokes: frozenset[Command[..., Any]] | None = None
    emits: frozenset[str] | None = None
    durable_events: frozenset[str] = frozenset()
    """The events that it is known to emit which have to be on disk."""

    @property
    def label(self) -> str:
        """Where it is, for people: ``Thermo/1/store_reading``."""
        return f"{self.service_name}/{self.service_version}/{self.name}"

    def __str__(self) -> str:
        return self.label


class CallOptions(msgspec.Struct, frozen=True):
    """Options of one call, apart from its parameters."""

    timeout: float | None = None
    instance_id: str | None = None
    event_name: str | None = None


class Command(Function, Generic[P, R], kw_only=True, eq=False):
    """A command: what :meth:`Service.command` makes of a handler, and what others invoke.

    Called like a function it runs the handler alone, for tests (:mod:`purista_fast.testing`).
    """

    success_event: Event[Any] | None = None
    is_remote: bool = False
    options: CallOptions = CallOptions()
    base: Command[P, R] | None = None

    def using(
        self, *, timeout: float | None = None, instance_id: str | None = None, event_name: str | None = None
    ) -> Command[P, R]:
        """The same command with options of one call; what is left out stays as it was.

        :param timeout: how long to wait for the answer, in seconds.
        :param instance_id: the one instance that is to run it.
        :param event_name: the event that the command itself stands for, to those who subscribe to it.
        :raises ValueError: if the timeout is not a number above 0.
        """
        if timeout is not None and not 0 < timeout < inf:
            raise ValueError(f"timeout must be above 0 seconds, not {timeout!r}")
        other = copy.copy(self)
        set_before = self.options
        other.options = CallOptions(
            timeout=set_before.timeout if timeout is None else timeout,
            instance_id=set_before.instance_id if instance_id is None else instance_id,
            event_name=set_before.event_name if event_name is None else event_name,
        )
        other.base = self.base or self
        return other

    def __call__(self, ctx: Context[Any, Any], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
        """Runs the handler itself, for tests.

        :raises DefinitionError: with an application's live context, where ``ctx.invoke`` is the way, and for a
            remote command, which has no handler here.
        """
        if self.is_remote:
            raise DefinitionError(
                f"{self.label} is a remote command: it runs elsewhere, use ctx.invoke({self.name}, …)"
            )
        return call_plain(self, ctx, args, kwargs)

    def __repr__(self) -> str:
        return f"<{'remote command' if self.is_remote else 'command'} {self.label}>"


class Subscription(Function, Generic[P, R], kw_only=True, eq=False):
    """A subscription: what :meth:`Service.subscription` makes of a handler."""

    filter: Mapping[str, Any]
    message_types: tuple[str, ...] = ()
    result_event: Event[Any] | None = None
    shared: bool = True
    concurrency: int = 1
    capacity: int = 1000
    drop_oldest: bool = False
    retry: Retry = DEFAULT_RETRY
    deduplicate: bool = False
    batch: Batch | None = None
    item: Codec[Any] | None = None
    """One payload, of a handler that gets a list of them."""
    needs: frozenset[Capability] = frozenset()
    external: bool = False
    """Whether its event comes from outside of the application."""

    def __call__(self, ctx: Context[Any, Any], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
        """Runs the handler itself, for tests.

        :raises DefinitionError: with an application's live context: a subscription runs when its event comes.
        """
        return call_plain(self, ctx, args, kwargs)

    def __repr__(self) -> str:
        return f"<subscription {self.label}>"


class Timer(Function, kw_only=True, eq=False):
    """A handler that runs by the clock."""

    schedule: Every | Cron
    """When it runs."""

    def __call__(self, ctx: Context[Any, Any], /) -> Awaitable[Any]:
        """Runs the handler itself, for tests.

        :raises DefinitionError: with an application's live context: a timer runs when its time comes.
        """
        return call_plain(self, ctx, (), {})

    def __repr__(self) -> str:
        return f"<timer {self.label}>"


async def _run_plain(function: Callable[..., Any], ctx: Any, args: Any, kwargs: Any) -> Any:
    result = function(ctx, *args, **kwargs)
    return await result if inspect.isawaitable(result) else result


def call_plain(definition: Function, ctx: Context[Any, Any], args: Any, kwargs: Any) -> Awaitable[Any]:
    """Runs the handler behind a definition, unless the context is live."""
    if ctx.is_live:
        raise DefinitionError(
            f"{definition.label} was called as a plain function with a live context; "
            f"use `await ctx.invoke({definition.function.__name__}, …)` for a command, ctx.emit for an event"
        )
    return _run_plain(definition.function, ctx, args, kwargs)


def remote(
    service: str, version: str, /, *, name: str | None = None
) -> Callable[[Callable[Concatenate[Any, P], Awaitable[R]]], Command[P, R]]:
    """Declares a command of another process or language by the signature that it has there.

    >>> @remote("User", "1", name="signUp")
    ... async def sign_up(ctx, payload: dict[str, str], *, lang: str = "en") -> dict[str, int]: ...
    >>> sign_up
    <remote command User/1/signUp>

    :raises DefinitionError: if the signature cannot be that of a command.
    """

    def declare(function: Callable[Concatenate[Any, P], Awaitable[R]]) -> Command[P, R]:
        target = check_name(name or function.__name__, "a remote command")
        label = f"{service}/{version}/{target}"
        return Command(
            function=function,
            service_name=check_name(service, "a service"),
            service_version=check_name(version, "a version"),
            name=target,
            signature=Signature(function, f"remote command {label}"),
            description=inspect.getdoc(function) or "",
            is_remote=True,
        )

    return declare


def untyped(service: str, version: str, name: str, *, parameters: Collection[str] = ()) -> Command[..., Any]:
    """A remote command of which only the address is known: it takes any payload and gives any result.

    :param parameters: the names that the parameter of a call may have.
    :raises DefinitionError: if one of the names cannot be part of an address.
    """

    async def call(ctx: Any, payload: Any = None) -> Any: ...

    command: Command[..., Any] = remote(service, version, name=name)(call)
    command.signature.payload_name = ""  # so that "payload" can be a parameter like any other
    command.signature.parameter_names = frozenset(parameters)
    return command


def check_name(name: object, what: str) -> str:
    """The name, if it can be part of an address.

    :raises DefinitionError: if it is empty, too long, or no topic level can be made of it.
    """
    if not isinstance(name, str) or not name:
        raise DefinitionError(f"the name of {what} must be a text that is not empty, not {name!r}")
    if len(name) > 200:
        raise DefinitionError(f"the name of {what} has {len(name)} characters; 200 are allowed: {name[:40]!r}…")
    if not snake_case(name).replace("_", "").isalnum():
        raise DefinitionError(f"the name of {what} needs letters or digits, {name!r} cannot be part of a topic")
    return name


def durable(events: Iterable[Event[Any] | str | None]) -> frozenset[str]:
    """The names of the events among these that have to be on disk."""
    return frozenset(e.name for e in events if isinstance(e, Event) and e.keeping.durability == "disk")


def names(events: Collection[Event[Any] | str] | None) -> frozenset[str] | None:
    """The names of events, or None for no list."""
    return None if events is None else frozenset(e.name if isinstance(e, Event) else e for e in events)
