"""What all runs of one handler have in common."""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from ._core import Address, Context, Message, Shortcuts, new_traceparent
from .bridges.base import Request
from .bridges.messages import command_message
from .context import ContextLogger
from .definition import Command, Event, Function

if TYPE_CHECKING:
    from .runtime import Runtime
    from .stores import Stores
    from .stores.configs import Configs
    from .stores.secrets import Secrets
    from .stores.states import States

__all__ = ("Scope",)


class Scope(Shortcuts):
    """What all runs of one handler have in common; a :class:`Context` asks it for what it does not know itself."""

    __slots__ = (
        "address",
        "config",
        "emit_timeout",
        "emits",
        "invokes",
        "is_live",
        "label",
        "logger",
        "receiver",
        "resources",
        "runtime",
        "stores",
    )

    def __init__(
        self,
        runtime: Runtime,
        address: Address,
        stores: Stores,
        function: Function | None = None,
        *,
        config: Any = None,
        resources: Any = None,
        emit_timeout: float | None = None,
    ) -> None:
        self.runtime = runtime
        self.address = address
        self.receiver = Address(address.service_name, address.service_version, address.service_target)
        """Whom those who call it mean: any instance."""
        self.stores = stores
        self.config = config
        self.resources = resources
        self.emit_timeout = emit_timeout
        self.is_live = True
        self.label = f"{address.service_name}/{address.service_version}/{address.service_target}"
        self.logger = logging.getLogger(f"purista_fast.service.{address.service_name}")
        self.invokes = function.invokes if function else None
        self.emits = function.emits if function else None

    @property
    def instance_id(self) -> str:
        """The running application's name on the bridge."""
        return self.address.instance_id or ""

    @property
    def states(self) -> States:
        """What the service keeps."""
        return self.stores.states(self.address.service_name)

    @property
    def configs(self) -> Configs:
        """What the application finds in its configuration by name."""
        return self.stores.configs

    @property
    def secrets(self) -> Secrets:
        """What the application is trusted with."""
        return self.stores.secrets

    def learn_command(self, command: Command[..., Any]) -> None:
        """Lets a command that is served in this process run without a detour."""
        if self.is_live and (self.invokes is None or command in self.invokes):
            self.runtime.shorten_command(self, command)

    def learn_event(self, event: Event[Any] | str) -> None:
        """Lets an event go into the queues of this process without a detour."""
        if self.is_live and isinstance(event, Event) and (self.emits is None or event.name in self.emits):
            self.runtime.shorten_event(self, event)

    def invoke(
        self, origin: Request | Message, command: Command[..., Any], args: Any, kwargs: dict[str, Any]
    ) -> Coroutine[Any, Any, Any]:
        """Has a command run; see :meth:`Runtime.invoke`."""
        return self.runtime.invoke(self, origin, command, args, kwargs)

    def emit(
        self, origin: Request | Message, event: Event[Any] | str, payload: Any, ordinal: int | None = None
    ) -> Coroutine[Any, Any, None]:
        """Emits an event; see :meth:`Runtime.emit`.

        :param ordinal: the how-manieth event of a subscription's run it is, where its id is to follow from that.
        """
        if ordinal is None or not isinstance(origin, Message):
            return self.runtime.emit(self, origin, event, payload)
        return self.runtime.emit(self, origin, event, payload, origin.derived_id(self.label, ordinal))

    def request(self, caller: Scope, root: Request | Message, payload: bytes | None, timeout: float) -> Request:
        """The request of an invocation that took no detour, for those who ask.

        :param root: trace, principal and tenant are its.
        :param timeout: in seconds.
        """
        return Request(
            sender=caller.address,
            receiver=self.receiver,
            timeout=timeout,
            payload=payload,
            trace_id=root.trace_id,
            principal_id=root.principal_id,
            tenant_id=root.tenant_id,
            traceparent=root.traceparent or new_traceparent(),
        )

    def message_of(self, origin: Request | Message) -> Message:
        """The message that a handler runs for; that which a request would travel in."""
        if isinstance(origin, Message):
            return origin
        if origin.message is None:
            origin.message = command_message(origin)
        return origin.message

    def messages_of(self, origin: Request | Message) -> tuple[Message, ...]:
        """The messages that a handler runs for: several, if it handles a batch."""
        found: tuple[Message, ...] | None = getattr(origin, "messages", None)
        return found or (self.message_of(origin),)

    def trace_id_of(self, origin: Request | Message) -> str:
        """32 hex digits that all messages of one cause have in common."""
        return origin.trace_id or (origin.traceparent or "")[3:35] or self.message_of(origin).id or ""

    def logger_of(self, ctx: Context[Any, Any]) -> ContextLogger:
        """A logger that names service, target and trace."""
        return ContextLogger(self.logger, {"service": self.label, "trace_id": ctx.trace_id})
