"""A service: a name, a version, and the handlers that its decorators collect."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar, overload

import msgspec

from ._core import WireError, subscription_filter
from .definition import Command, Event, Guard, Subscription, Timer, check_name, durable, names
from .errors import DefinitionError
from .policy import DEFAULT_RETRY, Batch, Retry
from .schedules import Cron, Every, Missed
from .schema import Signature

if TYPE_CHECKING:
    from .bridges.base import Capability
    from .context import Context
    from .jsonable import Jsonable

__all__ = ("Service",)

P = ParamSpec("P")
R = TypeVar("R")
Handler = Callable[Concatenate["Context[Any, Any]", P], Awaitable[R]]
J = TypeVar("J", bound="Jsonable")
"""What a plain function returns. The bound keeps async functions out: did both overloads fit them, mypy would make
``Any`` of their commands."""
PlainHandler = Callable[Concatenate["Context[Any, Any]", P], J]

_ADDRESS_KEYS = {
    "service": "serviceName",
    "version": "serviceVersion",
    "target": "serviceTarget",
    "instance": "instanceId",
}


class Service:
    """A service with its commands, subscriptions and timers.

    >>> from purista_fast import Context, Service
    >>> thermo = Service("Thermo", version="1", description="Keeps what the thermometers say")
    >>> @thermo.command
    ... async def to_fahrenheit(ctx: Context, payload: float) -> float:
    ...     return payload * 9 / 5 + 32
    >>> thermo.commands
    {'to_fahrenheit': <command Thermo/1/to_fahrenheit>}

    :param config: a msgspec ``Struct`` that is filled from ``[config.<name>]`` and validated at start.
    :raises DefinitionError: if name or version cannot be part of an address.
    """

    def __init__(
        self,
        name: str,
        *,
        version: str = "1",
        description: str = "",
        config: type[msgspec.Struct] | None = None,
    ) -> None:
        self.name = check_name(name, "a service")
        self.version = check_name(version, f"the version of service {name}")
        self.description = description
        self.config = config
        self.commands: dict[str, Command[..., Any]] = {}
        self.subscriptions: dict[str, Subscription[..., Any]] = {}
        self.timers: dict[str, Timer] = {}

    def __repr__(self) -> str:
        return f"Service({self.name!r}, version={self.version!r})"

    @overload
    def command(self, function: Handler[P, R], /) -> Command[P, R]: ...
    @overload
    def command(self, function: PlainHandler[P, J], /) -> Command[P, J]: ...
    @overload
    def command(
        self,
        /,
        *,
        name: str | None = None,
        success_event: Event[Any] | None = None,
        before: Iterable[Guard] = (),
        after: Iterable[Guard] = (),
        invokes: Collection[Command[..., Any]] | None = None,
        emits: Collection[Event[Any] | str] | None = None,
    ) -> CommandDecorator: ...
    def command(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        name: str | None = None,
        success_event: Event[Any] | None = None,
        before: Iterable[Guard] = (),
        after: Iterable[Guard] = (),
        invokes: Collection[Command[..., Any]] | None = None,
        emits: Collection[Event[Any] | str] | None = None,
    ) -> Any:
        """Makes a command of a handler ``(ctx, payload, *, parameter…) -> result``.

        A plain ``def`` handler runs in a thread.

        :param name: the name on the wire; the function's unless given.
        :param success_event: the event that the success response stands for.
        :param before: guards on the payload and the parameter, run in order before the handler.
        :param after: guards on the result, run in order after the handler.
        :param invokes: the only commands that the handler may invoke; ``None`` allows all.
        :param emits: the only events that the handler may emit; ``None`` allows all.
        :raises DefinitionError: if the signature is not a command's or the name is taken.
        """

        before, after = tuple(before), tuple(after)  # an iterator gives its guards only once

        def define(handler: Callable[..., Any]) -> Command[..., Any]:
            common = self._common("command", handler, name, before, after, invokes, emits)
            command: Command[..., Any] = Command(**common, success_event=success_event)
            command.durable_events |= durable([success_event])
            self.commands[command.name] = command
            return command

        return define if function is None else define(function)

    def subscription(
        self,
        event: Event[Any] | None = None,
        /,
        *,
        name: str | None = None,
        message_type: str | None = None,
        event_name: str | None = None,
        sender: Mapping[Literal["service", "version", "target", "instance"], str] | None = None,
        receiver: Mapping[Literal["service", "version", "target", "instance"], str] | None = None,
        principal_id: str | None = None,
        tenant_id: str | None = None,
        shared: bool = True,
        result_event: Event[Any] | None = None,
        concurrency: int = 1,
        queue_size: int = 1000,
        overflow: Literal["wait", "drop_oldest"] = "wait",
        retry: Retry | None = None,
        deduplicate: bool = False,
        batch: Batch | None = None,
        needs: Iterable[Capability] = (),
        before: Iterable[Guard] = (),
        after: Iterable[Guard] = (),
        invokes: Collection[Command[..., Any]] | None = None,
        emits: Collection[Event[Any] | str] | None = None,
    ) -> SubscriptionDecorator:
        """Makes a subscription of a handler ``(ctx, payload)``: it runs for each message that passes the filter.

        :param event: the event wanted: custom messages and success responses with its name. The rest of the filter
            narrows it down; without an event the filter stands alone.
        :param message_type: the type wanted, as on the wire (``"infoServiceReady"``).
        :param event_name: the event wanted by its name alone, in whichever message.
        :param sender: who sent it: any of service, version, target, instance.
        :param receiver: whom it is for, likewise.
        :param shared: one instance of the service gets a message; with ``False`` every instance does.
        :param result_event: the event that the returned value becomes.
        :param concurrency: how many messages are handled at the same time; 1 keeps their order.
        :param queue_size: how many messages may wait here.
        :param overflow: what happens when they are more: the emitter waits, or the oldest is dropped and counted.
        :param retry: how often it is tried when it fails, on a bridge that tries again (``mqtt://``); five times unless
            given. Where it is given, a bridge that does not refuses to start.
        :param deduplicate: whether a message with an id that was handled is left out. The last 10,000 ids are
            remembered on disk, at the cost of a write for each message; only on a bridge that has a disk.
        :param batch: has messages gathered: the handler is ``(ctx, payloads: list[…])``, and finds the messages in
            ``ctx.messages``. They are acknowledged together and tried again together, the last time each alone, so
            that one that cannot be handled becomes a dead letter without the others. Guards run, and the result
            event is emitted, once for a batch. A bridge may refuse to start if it cannot have so many under way.
        :param needs: what the bridge must be capable of; the application refuses to start on any other.
        :raises DefinitionError: if the signature is not a subscription's, the filter empty, or the name taken.
        """
        if event is not None and event_name is not None:
            raise DefinitionError("give an event or an event_name, not both")
        if overflow not in ("wait", "drop_oldest"):
            raise DefinitionError(f'overflow must be "wait" or "drop_oldest", not {overflow!r}')
        if concurrency < 1 or queue_size < 1:
            raise DefinitionError(f"concurrency and queue_size must be at least 1, not {concurrency} and {queue_size}")
        before, after = tuple(before), tuple(after)  # an iterator gives them only once
        asked = set(needs)
        if retry is not None and retry.block and concurrency > 1:
            raise DefinitionError(f"Retry(block=True) keeps the order, concurrency={concurrency} gives it up")
        if batch is not None and concurrency > 1:
            raise DefinitionError(f"batches are handled one after the other: concurrency must be 1, not {concurrency}")
        if retry is not None or deduplicate:
            asked.add("retry")
        wanted: dict[str, Any] = {
            "eventName": event.name if event else event_name,
            "principalId": principal_id,
            "tenantId": tenant_id,
            "sender": _address_filter(sender, "sender"),
            "receiver": _address_filter(receiver, "receiver"),
        }
        wanted = {key: value for key, value in wanted.items() if value}
        message_types = _message_types(event, message_type)
        if not wanted and not message_types:
            raise DefinitionError(
                f"a subscription of {self.name} needs a filter: an event, message_type, event_name, sender, receiver, "
                "principal_id or tenant_id"
            )

        def define(handler: Callable[..., Any]) -> Any:
            common = self._common("subscription", handler, name, before, after, invokes, emits)
            subscription: Subscription[..., Any] = Subscription(
                **common,
                filter=wanted,
                message_types=message_types,
                result_event=result_event,
                shared=shared,
                concurrency=concurrency,
                capacity=queue_size,
                drop_oldest=overflow == "drop_oldest",
                retry=retry or DEFAULT_RETRY,
                deduplicate=deduplicate,
                batch=batch,
                item=common["signature"].item(f"subscription {self.name}/{self.version}/{common['name']}")
                if batch
                else None,
                needs=frozenset(asked),
                external=event is not None and event.external,
            )
            subscription.durable_events |= durable([result_event])
            self.subscriptions[subscription.name] = subscription
            return subscription

        return define

    def every(
        self,
        interval: float | Callable[[Any], float],
        /,
        *,
        name: str | None = None,
        jitter: float = 0.0,
        missed: Missed = "skip",
        invokes: Collection[Command[..., Any]] | None = None,
        emits: Collection[Event[Any] | str] | None = None,
    ) -> Callable[[Callable[..., Any]], Timer]:
        """Runs a handler ``(ctx)`` every so many seconds while the application runs, by the monotonic clock.

        The first run comes one interval after the start. A run never overlaps the one before. An error is logged, and
        the next run comes as planned. Of workers that share the load (``purista-fast run --workers``), the first one
        runs it.

        >>> from msgspec import Struct
        >>> from purista_fast import Context, Service
        >>> class Config(Struct):
        ...     interval: float = 0.2
        >>> thermo = Service("Thermo", config=Config)
        >>> @thermo.every(lambda config: config.interval, jitter=0.05)
        ... async def sample(ctx: Context[Config]) -> None: ...

        :param interval: in seconds; or a function of the service's configuration that gives them.
        :param jitter: up to how many seconds later a run begins, by chance: for devices that start at the same time.
        :param missed: what came due during a run is left out (``"skip"``), or made good by one run right after it
            (``"run_once"``). With ``"run_once"`` the last run is kept with the states, at the cost of a write for each;
            after a restart the next one comes when it would have come, at once if that is past.
        :param invokes: the only commands that the handler may invoke; ``None`` allows all.
        :param emits: the only events that the handler may emit; ``None`` allows all.
        :raises DefinitionError: if the interval is not above 0 and above the jitter, or the handler takes more than the
            context. Where the configuration gives the interval, ``ConfigError`` at the start.
        """
        return self._timer(Every(interval, jitter, missed), name, invokes, emits)

    def cron(
        self,
        expression: str | Callable[[Any], str],
        /,
        *,
        timezone: str = "UTC",
        name: str | None = None,
        jitter: float = 0.0,
        missed: Missed = "skip",
        invokes: Collection[Command[..., Any]] | None = None,
        emits: Collection[Event[Any] | str] | None = None,
    ) -> Callable[[Callable[..., Any]], Timer]:
        """Runs a handler ``(ctx)`` by the calendar, as cron does, while the application runs.

        No time is run twice, also over restarts: the last one is kept with the states. A run never overlaps the one
        before. An error is logged, and the next run comes as planned.

        >>> from purista_fast import Context, Service
        >>> thermo = Service("Thermo")
        >>> @thermo.cron("*/5 6-22 * * MON-FRI", timezone="Europe/Berlin", missed="run_once")
        ... async def report(ctx: Context) -> None: ...

        :param expression: minute, hour, day of month, month, day of week; or a function of the service's configuration
            that gives them.
        :param timezone: whose clock and calendar it is; where summer time begins and ends, as in Debian's cron.
        :param jitter: up to how many seconds later a run begins, by chance.
        :param missed: times that passed while the application did not run, or ran the one before, or that the clock
            jumped over by more than a minute, are left out (``"skip"``) or made good by one run (``"run_once"``).
        :param invokes: the only commands that the handler may invoke; ``None`` allows all.
        :param emits: the only events that the handler may emit; ``None`` allows all.
        :raises DefinitionError: for an expression or time zone that there is not, if the handler takes more than the
            context, or without the package ``cronsim`` (``purista-fast[cron]``). Where the configuration gives the
            expression, ``ConfigError`` at the start.
        """
        return self._timer(Cron(expression, timezone, jitter, missed), name, invokes, emits)

    def _timer(
        self,
        schedule: Every | Cron,
        name: str | None,
        invokes: Collection[Command[..., Any]] | None,
        emits: Collection[Event[Any] | str] | None,
    ) -> Callable[[Callable[..., Any]], Timer]:
        def define(handler: Callable[..., Any]) -> Timer:
            common = self._common("timer", handler, name, (), (), invokes, emits)
            timer = Timer(**common, schedule=schedule)
            self.timers[timer.name] = timer
            return timer

        return define

    def _common(
        self,
        kind: str,
        function: Callable[..., Any],
        name: str | None,
        before: tuple[Guard, ...],
        after: tuple[Guard, ...],
        invokes: Collection[Command[..., Any]] | None,
        emits: Collection[Event[Any] | str] | None,
    ) -> dict[str, Any]:
        if not callable(function):
            raise DefinitionError(f"a {kind} of {self.name} needs a function, not {function!r}")
        target = check_name(name or getattr(function, "__name__", ""), f"a {kind} of {self.name}")
        what = f"{kind} {self.name}/{self.version}/{target}"
        if target in self.commands or target in self.subscriptions or target in self.timers:
            raise DefinitionError(f"{self.name}/{self.version} already has a handler {target!r}; give one a `name=`")
        guards = (*before, *after)
        for guard in guards:
            if not inspect.iscoroutinefunction(guard):
                raise DefinitionError(
                    f"{what}: guard {guard!r} must be an async function of context, payload, parameter"
                )
        return {
            "function": function,
            "service_name": self.name,
            "service_version": self.version,
            "name": target,
            "signature": Signature(function, what, takes_payload=kind != "timer"),
            "description": inspect.getdoc(function) or "",
            "before": before,
            "after": after,
            "invokes": None if invokes is None else frozenset(command.base or command for command in invokes),
            "emits": names(emits),
            "durable_events": durable(emits or ()),
        }


def _address_filter(address: Mapping[Any, str] | None, what: str) -> dict[str, str]:
    unknown = set(address or ()) - set(_ADDRESS_KEYS)
    if unknown:
        raise DefinitionError(f"{what} has no {sorted(unknown)}; it has {sorted(_ADDRESS_KEYS)}")
    return {_ADDRESS_KEYS[key]: value for key, value in (address or {}).items()}


def _message_types(event: Event[Any] | None, message_type: str | None) -> tuple[str, ...]:
    if message_type is not None:
        try:
            subscription_filter({"messageType": message_type}, shared=False)
        except WireError as error:
            raise DefinitionError(f"a subscription cannot filter on {error}") from None
        return (message_type,)
    return ("customMessage", "commandSuccessResponse") if event else ()


if TYPE_CHECKING:
    from typing import Protocol

    class CommandDecorator(Protocol):
        """Makes a command of an async or a plain function."""

        @overload
        def __call__(self, function: Handler[P, R], /) -> Command[P, R]: ...
        @overload
        def __call__(self, function: PlainHandler[P, J], /) -> Command[P, J]: ...

    class SubscriptionDecorator(Protocol):
        """Makes a subscription of an async or a plain function."""

        @overload
        def __call__(self, function: Handler[P, R], /) -> Subscription[P, R]: ...
        @overload
        def __call__(self, function: PlainHandler[P, J], /) -> Subscription[P, J]: ...
