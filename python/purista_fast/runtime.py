"""The running application: definitions compiled to the endpoints, consumers and calls that a bridge works with."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec

from ._core import Address, Context, Handler, LocalCommand, Message, Outlet, new_traceparent
from .arguments import encode_arguments, encode_payload, reader
from .bridges.base import Consumer, Endpoint, EventBridge, Request
from .definition import Command, Event, Function, Subscription, Timer
from .errors import BridgeError, DefinitionError, HandledError, ServiceError, StatusCode, UnhandledError
from .policy import DEFAULT_KEEPING
from .schema import Codec, Signature
from .scope import Scope
from .threads import ThreadPool

if TYPE_CHECKING:
    from .reporter import Reporter
    from .uplink.uplink import Uplink

__all__ = ("Runtime",)

_ANY: Codec[Any] = Codec(Any)
_NO_PARAMETER: Mapping[str, Any] = MappingProxyType({})


class Runtime:
    """Runs handlers for a bridge, and carries what they invoke and emit to it."""

    def __init__(self, bridge: EventBridge, threads: ThreadPool, command_timeout: float) -> None:
        self.bridge = bridge
        self._threads = threads
        self._command_timeout = command_timeout
        self._receivers: dict[Command[..., Any], Address] = {}
        self.reporter: Reporter | None = None
        """What tells how the application is; set before it starts."""
        self.uplink: Uplink | None = None
        """The second bridge, if there is one; set before it starts."""
        self._locals: dict[Command[..., Any], LocalCommand] = {}
        self._running = 0
        self.failures: Counter[str] = Counter()
        """How many runs failed by what was not meant for the caller, by handler."""

    @property
    def running(self) -> int:
        """How many commands run now."""
        return self._running + sum(local.running for local in self._locals.values())

    def statistics(self) -> dict[str, Any]:
        """The bridge's counters and queue depths; those of an uplink under ``uplink``."""
        found = self.bridge.statistics()
        return found if self.uplink is None else {**found, "uplink": self.uplink.statistics()}

    # --- outwards: what handlers and clients do

    async def invoke(
        self, scope: Scope, origin: Request | Message, command: Command[..., Any], args: Any, kwargs: dict[str, Any]
    ) -> Any:
        """Has a command run; see :meth:`Context.invoke`."""
        base, options = command.base or command, command.options
        if scope.invokes is not None and base not in scope.invokes:
            raise DefinitionError(f"{scope.label} may not invoke {base.label}: it is not in its `invokes` list")
        receiver = self._receivers.get(base) if options.instance_id is None else None
        signature = base.signature
        payload: bytes | None
        if signature.payload is not None and len(args) == 1 and not kwargs:
            payload, parameter = signature.payload.encode(args[0]), None
        else:
            payload, parameter = encode_arguments(base, args, kwargs)
        request = Request(
            sender=scope.address,
            receiver=receiver or self._receiver(base, options.instance_id),
            timeout=options.timeout or self._command_timeout,
            payload=payload,
            parameter=parameter,
            trace_id=origin.trace_id,
            principal_id=origin.principal_id,
            tenant_id=origin.tenant_id,
            traceparent=origin.traceparent or new_traceparent(),
            event_name=options.event_name,
            reply=signature.result,
        )
        data = await self.bridge.invoke(request)
        try:
            return signature.result.decode(data)
        except (msgspec.MsgspecError, RecursionError) as error:
            scope.logger.error("%s: the answer of %s does not fit its schema: %s", scope.label, base.label, error)
            raise UnhandledError(trace_id=origin.trace_id) from error

    async def emit(
        self,
        scope: Scope,
        origin: Request | Message,
        event: Event[Any] | str,
        payload: Any,
        message_id: str | None = None,
    ) -> None:
        """Emits an event; see :meth:`Context.emit`.

        :raises BridgeError: if it has to be on disk, and the bridge has none.
        """
        name, codec, keeping = event if isinstance(event, str) else event.name, _ANY, DEFAULT_KEEPING
        if isinstance(event, Event):
            codec, keeping = event.codec, event.keeping
            if keeping.durability == "disk" and "disk" not in self.bridge.capabilities:
                raise BridgeError(f"{scope.label} emits {name!r} with durability='disk', but the bridge keeps nothing")
        if scope.emits is not None and name not in scope.emits:
            raise DefinitionError(f"{scope.label} may not emit {name!r}: it is not in its `emits` list")
        message = Message(
            "customMessage",
            sender=scope.address,
            payload=encode_payload(codec, payload, f"event {name!r}"),
            event_name=name,
            id=message_id,
            trace_id=origin.trace_id,
            principal_id=origin.principal_id,
            tenant_id=origin.tenant_id,
            traceparent=new_traceparent(origin.traceparent),
        )
        await self.bridge.emit(message, scope.emit_timeout, keeping)

    def shorten_command(self, scope: Scope, command: Command[..., Any]) -> None:
        """Shows a scope a command that may run in the task of its caller, if it is one."""
        local = self._locals.get(command)
        if local is not None and local.is_open:
            scope.invokes_locally(command, local, self._command_timeout)

    def shorten_event(self, scope: Scope, event: Event[Any]) -> None:
        """Shows a scope where an event goes, if that is into the queues of this process and nowhere else."""
        dispatcher, keeping = self.bridge.dispatcher, event.keeping
        if dispatcher is not None and keeping.durability != "disk":
            wait = partial(self.bridge.emit, timeout=scope.emit_timeout, keeping=keeping)
            outlet = Outlet(event.name, scope.label, scope.address, event.codec, dispatcher, wait)
            scope.emits_locally(event, outlet)

    # --- inwards: what the bridge runs

    def endpoint(self, command: Command[..., Any], scope: Scope) -> Endpoint:
        """The command as the bridge serves it."""
        signature, run = command.signature, self._runner(command)
        result = signature.result
        read = reader(command)

        async def execute(request: Request) -> bytes:
            self._running += 1
            try:
                payload, parameter = read(request.payload, request.parameter)
                data = result.encode(await run(Context(scope, request), payload, parameter))
                if request.reply is not result:
                    result.decode(data)
                return data
            except (Exception, asyncio.CancelledError) as error:
                if isinstance(error, asyncio.CancelledError) and _is_asked_for():
                    raise
                raise _answer(error, scope, request) from None
            finally:
                self._running -= 1

        def fail(error: BaseException, ctx: Context[Any, Any], data: bytes | None) -> BaseException:
            if isinstance(error, asyncio.CancelledError):
                return error if _is_asked_for() else _answer(error, scope, ctx)
            if data is not None and isinstance(error, (msgspec.MsgspecError, RecursionError)):
                try:
                    read(data, None)
                except HandledError as rejected:
                    error = rejected
            return _answer(error, scope, ctx) if isinstance(error, Exception) else error

        local = None
        if signature.parameter is None:
            handler = self._handler(command, run)
            local = self._locals[command] = LocalCommand(scope, handler, signature.payload, result, fail)
        return Endpoint(
            address=scope.address,
            execute=execute,
            local=local,
            success_event=command.success_event.name if command.success_event else None,
            keeping=command.success_event.keeping if command.success_event else DEFAULT_KEEPING,
            schema=function_added(signature),
            result=result.type,
        )

    def consumer(self, subscription: Subscription[..., Any], scope: Scope) -> Consumer:
        """The subscription as the bridge serves it."""
        signature, run = subscription.signature, self._runner(subscription)
        read = reader(subscription)

        def failed(error: BaseException) -> BaseException:
            if isinstance(error, asyncio.CancelledError):
                if _is_asked_for():
                    return error
                error = _stray(error)
            if isinstance(error, Exception):
                self.failures[scope.label] += 1
            return error

        async def handle(message: Message) -> None:
            try:
                if message.message_type == "command":
                    payload, parameter = read(*message.call())
                else:
                    payload, parameter = read(message.payload, None)
                await run(Context(scope, message, numbers_events=True), payload, parameter)
            except (Exception, asyncio.CancelledError) as error:
                other = failed(error)
                if other is error:
                    raise
                raise other from error

        handler = None
        if signature.parameter is None and subscription.batch is None:
            handler = Handler(scope, self._handler(subscription, run), signature.payload)
        together = None
        if subscription.batch is not None:
            from .batches import gathering  # most applications have none

            together = gathering(subscription, scope, run, failed)
        return Consumer(
            address=scope.address,
            subscription=subscription.filter,
            message_types=subscription.message_types,
            handle=handle,
            handler=handler,
            failed=failed,
            shared=subscription.shared,
            concurrency=subscription.concurrency,
            capacity=subscription.capacity,
            drop_oldest=subscription.drop_oldest,
            retry=subscription.retry,
            deduplicate=subscription.deduplicate,
            gathering=together,
        )

    async def tick(self, timer: Timer, scope: Scope) -> None:
        """Runs a timer's handler once; an error is logged."""
        try:
            await self._callable(timer)(Context(scope, self.root(scope)), None, {})
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _is_asked_for():
                raise
            self.failures[scope.label] += 1
            scope.logger.exception("%s: the timer's run failed; the next one comes as planned", scope.label)

    def root(
        self,
        scope: Scope,
        *,
        trace_id: str | None = None,
        principal_id: str | None = None,
        tenant_id: str | None = None,
    ) -> Request:
        """Where a chain of messages begins: a client, a timer."""
        return Request(
            sender=scope.address,
            receiver=scope.address,
            timeout=self._command_timeout,
            trace_id=trace_id,
            principal_id=principal_id,
            tenant_id=tenant_id,
            traceparent=new_traceparent(),
        )

    def _callable(self, function: Function) -> Callable[[Context[Any, Any], Any, Mapping[str, Any]], Awaitable[Any]]:
        """The handler as a function of context, payload and parameter, whichever of them it takes."""
        handler, signature = function.function, function.signature
        if not signature.is_async:
            plain, run = handler, self._threads.run

            def boxed(*args: Any, **kwargs: Any) -> tuple[Any]:
                return (plain(*args, **kwargs),)  # trio wants no bare coroutine out of a thread

            async def handler(*args: Any, **kwargs: Any) -> Any:
                (value,) = await run(boxed, *args, **kwargs)
                # A decorator without `async` around an async function gives its coroutine.
                return await value if inspect.isawaitable(value) else value

        if signature.payload is None:
            return lambda ctx, _, parameter: handler(ctx, **parameter)
        if signature.parameter is None:
            return lambda ctx, payload, _: handler(ctx, payload)
        return lambda ctx, payload, parameter: handler(ctx, payload, **parameter)

    def _runner(self, function: Function) -> Callable[[Context[Any, Any], Any, Mapping[str, Any]], Awaitable[Any]]:
        """The handler between its guards, and the event that its result is emitted as."""
        call, before, after = self._callable(function), function.before, function.after
        result_event = function.result_event if isinstance(function, Subscription) else None
        if not before and not after and result_event is None:
            return call

        async def run(ctx: Context[Any, Any], payload: Any, parameter: Mapping[str, Any]) -> Any:
            for guard in before:
                await guard(ctx, payload, parameter)
            value = await call(ctx, payload, parameter)
            for guard in after:
                await guard(ctx, value, parameter)
            if result_event is not None:
                await ctx.emit(result_event, value)
            return value

        return run

    def _handler(self, function: Function, run: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """What :meth:`_runner` made, as an async function of the context, and of the payload if it takes one."""
        handler = function.function
        is_alone = not function.before and not function.after and getattr(function, "result_event", None) is None
        if is_alone and inspect.isfunction(handler) and handler.__code__.co_flags & inspect.CO_COROUTINE:
            return handler

        async def handle(ctx: Context[Any, Any], payload: Any = None) -> Any:
            return await run(ctx, payload, _NO_PARAMETER)

        return handle

    def _receiver(self, command: Command[..., Any], instance_id: str | None) -> Address:
        address = Address(command.service_name, command.service_version, command.name, instance_id)
        if instance_id is None:
            self._receivers[command] = address
        return address


def _is_asked_for() -> bool:
    """Whether someone cancels the running task; if not, a handler awaited something that was cancelled."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # on trio, where asyncio's error means nothing
        return False
    return task is None or task.cancelling() > 0


def _stray(error: asyncio.CancelledError) -> RuntimeError:
    """What stands for a cancellation that would end the task of whoever runs the handler, though nobody asked."""
    stray = RuntimeError("what the handler waited for was cancelled")
    stray.__cause__ = error
    return stray


def _answer(
    error: Exception | asyncio.CancelledError, scope: Scope, about: Request | Context[Any, Any]
) -> ServiceError:
    """The error that the caller gets; whatever it is not meant to see is logged here."""
    if isinstance(error, asyncio.CancelledError):
        error = _stray(error)
    trace_id: str | None = about.trace_id
    if not trace_id and isinstance(about, Request):
        trace_id = (about.traceparent or "")[3:35] or None
    if isinstance(error, HandledError):
        try:
            # A copy of its own, as over the wire.
            data = None if error.data is None else _ANY.decode(_ANY.encode(error.data))
        except (TypeError, ValueError, OverflowError, RecursionError) as broken:
            scope.logger.error("%s: no JSON can be made of the data of %r: %s", scope.label, error, broken)
        else:
            return HandledError(error.status, error.message, data, trace_id=trace_id)
    scope.runtime.failures[scope.label] += 1
    scope.logger.error("%s failed [%s]: %s", scope.label, trace_id, error, exc_info=error, extra={"trace_id": trace_id})
    return UnhandledError(StatusCode.INTERNAL_SERVER_ERROR, trace_id=trace_id)


def function_added(signature: Signature) -> dict[str, Any]:
    """What ``infoServiceFunctionAdded`` says of a command (PURISTA's ``expose``)."""
    expose: dict[str, Any] = {
        "contentTypeRequest": "application/json",
        "contentEncodingRequest": "utf-8",
        "contentTypeResponse": "application/json",
        "contentEncodingResponse": "utf-8",
    }
    if signature.payload is not None:
        expose["inputPayload"] = signature.payload.schema()
    if signature.parameter is not None:
        expose["parameter"] = signature.parameter.schema()
    expose["outputPayload"] = signature.result.schema()
    expose["deprecated"] = False
    return {"expose": expose}
