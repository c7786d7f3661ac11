"""What a handler receives beside its payload."""

from __future__ import annotations

import logging
from collections.abc import Coroutine, Iterator, Mapping
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from ._core import Message
from .definition import Command, Event

if TYPE_CHECKING:
    from typing_extensions import TypeVar as DefaultTypeVar

    from .bridges.base import Request
    from .runtime import Scope

    ConfigT = DefaultTypeVar("ConfigT", default=Any)
    ResourcesT = DefaultTypeVar("ResourcesT", default=Any)
else:
    ConfigT = TypeVar("ConfigT")
    ResourcesT = TypeVar("ResourcesT")

__all__ = ("Context",)

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Context(Generic[ConfigT, ResourcesT]):
    """The message at hand, and the way to other services. Made by the application, one for each run of a handler.

    ``Context[Config, Resources]`` gives types to ``config`` and ``resources``.
    """

    __slots__ = ("_ordinals", "_origin", "_scope")

    if not TYPE_CHECKING:

        def __class_getitem__(cls, types: Any) -> GenericAlias:
            """``Context[Config]`` and ``Context[Config, Resources]``: the standard library knows no defaults yet."""
            return GenericAlias(cls, types)

    def __init__(self, scope: Scope, origin: Request | Message, ordinals: Iterator[int] | None = None) -> None:
        self._scope = scope
        self._origin = origin
        self._ordinals = ordinals
        """Numbers the events that a subscription emits, so that their ids are the same when it is tried again."""

    @property
    def is_live(self) -> bool:
        """Whether this is the context of a running application, and not of a test."""
        return self._scope.is_live

    @property
    def message(self) -> Message:
        """The message that the handler runs for."""
        origin = self._origin
        return origin if isinstance(origin, Message) else self._scope.message_of(origin)

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger of the standard library, bound to service, target and trace."""
        return _Logger(self._scope.logger, {"service": self._scope.label, "trace_id": self.trace_id})

    @property
    def trace_id(self) -> str:
        """32 hex digits that all messages of one cause have in common."""
        origin = self._origin
        return origin.trace_id or (origin.traceparent or "")[3:35] or (self.message.id or "")

    @property
    def principal_id(self) -> str | None:
        """On whose behalf this runs."""
        return self._origin.principal_id

    @property
    def tenant_id(self) -> str | None:
        """In whose realm this runs."""
        return self._origin.tenant_id

    @property
    def instance_id(self) -> str:
        """The running application's name on the bridge."""
        return self._scope.address.instance_id or ""

    @property
    def config(self) -> ConfigT:
        """The service's configuration, from ``[config.<service>]``."""
        config: ConfigT = self._scope.config
        return config

    @property
    def resources(self) -> ResourcesT:
        """What the application was given: a database pool, a sensor bus."""
        resources: ResourcesT = self._scope.resources
        return resources

    def invoke(self, command: Command[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Has a command run, wherever it is served, and gives its result.

        Trace, principal and tenant go with it. Options of the call are given by ``command.using(timeout=2.0)``.

        :raises HandledError: as the command raised it; 400 if payload or parameter do not fit its schema.
        :raises UnhandledError: 500 if it crashed, 502 if nobody serves it, 504 if no answer came in time.
        :raises DefinitionError: if the handler has an ``invokes`` list without this command.
        :raises TypeError: if the arguments are not those of the command, or no JSON can be made of them.
        """
        return self._scope.runtime.invoke(self._scope, self._origin, command, args, kwargs)

    @overload
    def emit(self, event: Event[T], payload: T, /) -> Coroutine[Any, Any, None]: ...
    @overload
    def emit(self, event: Event[None], /) -> Coroutine[Any, Any, None]: ...
    @overload
    def emit(self, event: str, payload: Any = None, /) -> Coroutine[Any, Any, None]: ...
    def emit(self, event: Event[Any] | str, payload: Any = None, /) -> Coroutine[Any, Any, None]:
        """Emits an event; trace, principal and tenant go with it. What a return promises is the bridge's to say.

        In a subscription the event's id follows from that of the message at hand and from how many were emitted before
        it: when the handler is tried again, its events are recognised as the same.

        :raises PayloadError: if the payload does not fit the event's type.
        :raises UnhandledError: 503 if a queue stayed full for ``queue_timeout``; 507 if there is no room to keep it.
        :raises BridgeError: if it has to be on disk (``durability="disk"``), and the bridge has none.
        :raises DefinitionError: if the handler has an ``emits`` list without this event.
        """
        origin, scope = self._origin, self._scope
        if self._ordinals is None or not isinstance(origin, Message):
            return scope.runtime.emit(scope, origin, event, payload)
        message_id = derived_id(origin, scope.label, next(self._ordinals))
        return scope.runtime.emit(scope, origin, event, payload, message_id)

    def __repr__(self) -> str:
        return f"<Context of {self._scope.label}, trace {self.trace_id}>"


def derived_id(message: Message, label: str, ordinal: int) -> str:
    """The id of an event that a subscription emits: the same one whenever it handles the same message again.

    :param label: the subscription.
    :param ordinal: the how-manieth event of this run it is.
    """
    import hashlib  # it brings OpenSSL, which most applications on memory:// do without

    cause = f"{message.message_type} {message.id} {message.event_name} {label} {ordinal}"
    return hashlib.blake2b(cause.encode(), digest_size=16).hexdigest()


class _Logger(logging.LoggerAdapter[logging.Logger]):
    """Puts service, target and trace in front of a line, and into the record for those who format it themselves."""

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        extra: Mapping[str, Any] = self.extra or {}
        kwargs["extra"] = {**extra, **(kwargs.get("extra") or {})}
        return f"{extra['service']} [{extra['trace_id']}] {msg}", kwargs
