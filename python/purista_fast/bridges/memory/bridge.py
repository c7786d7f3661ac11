"""``memory://``: everything in one process, nothing else installed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from anyio.abc import TaskGroup

from ..._core import Address, Dispatcher, Message, new_id
from ...errors import DefinitionError, ServiceError, StatusCode, UnhandledError
from ...policy import DEFAULT_KEEPING, Keeping
from ..base import Capability, Consumer, Endpoint, Request
from ..deadline import Arm, limiter
from ..messages import batch_error, command_message, response_message, subscription_error, timeout_message
from ..routes import Route, names
from ..workers import Workers

__all__ = ("MemoryBridge",)


class MemoryBridge:
    """Runs a command in the task of its caller, and hands events to the queues of the subscriptions.

    :param queue_timeout: how long the success event of a command waits for room, in seconds, before it is given up.
    """

    capabilities: frozenset[Capability] = frozenset({"shared"})

    def __init__(self, *, instance_id: str, queue_timeout: float = 5.0) -> None:
        self.instance_id = instance_id
        self._queue_timeout = queue_timeout
        self._workers = Workers(self._run, self._fail, self._run_all)
        self._dispatcher = self._workers.dispatcher
        self._arm: Arm | None = None
        self._endpoints: dict[Address, Endpoint] = {}
        self._routes: dict[Address, Route] = {}
        self._draining = False
        self._stopped = False
        self._lost_events = 0
        self._timeouts = 0

    @property
    def dispatcher(self) -> Dispatcher | None:
        """It takes every event; see :class:`EventBridge`."""
        return self._dispatcher

    def serve(self, endpoint: Endpoint) -> None:
        """Adds a command; see :class:`EventBridge`."""
        address = Address(*names(endpoint.address))
        if address in self._endpoints:
            raise DefinitionError(f"{'/'.join(names(address))} is served twice in this application")
        self._endpoints[address] = endpoint

    def listen(self, consumer: Consumer) -> None:
        """Adds a subscription; see :class:`EventBridge`."""
        self._add(consumer)

    async def tap(self, consumer: Consumer) -> Callable[[], Awaitable[None]]:
        """Adds a consumer while the bridge runs; see :class:`EventBridge`."""
        queue = self._add(consumer)
        self._decide_routes()

        async def remove() -> None:
            self._workers.remove(queue)
            self._decide_routes()

        return remove

    @property
    def is_connected(self) -> bool:
        """Always; see :class:`EventBridge`."""
        return True

    def on_connected(self, tell: Callable[[], None]) -> None:
        """There is nothing to connect to; see :class:`EventBridge`."""

    def ailment(self) -> str | None:
        """There is nothing that could hang but the event loop; see :class:`EventBridge`."""
        return None

    async def start(self, tasks: TaskGroup) -> None:
        """Begins to serve; see :class:`EventBridge`."""
        self._limited, self._arm = limiter(self._on_timeout)
        self._decide_routes()
        self._workers.start(tasks)

    def invoke(self, request: Request) -> Awaitable[bytes]:
        """Runs a command in the caller's task; see :class:`EventBridge`."""
        route = self._routes.get(request.receiver) or self._route(request.receiver)
        if self._draining:
            raise UnhandledError(StatusCode.SERVICE_UNAVAILABLE, "the application is stopping")
        if route.is_observed:
            return self._invoke_observed(route, request)
        return self._limited(route.endpoint.execute(request), request)

    async def emit(self, message: Message, timeout: float | None = None, keeping: Keeping = DEFAULT_KEEPING) -> None:
        """Puts the message into the queue of every matching subscription; see :class:`EventBridge`."""
        del keeping  # nothing here outlives the process; what asks for that does not start
        if self._stopped:
            raise UnhandledError(StatusCode.SERVICE_UNAVAILABLE, "the application has stopped")
        full = self._dispatcher.offer(message)
        if full >= 0:
            await self._workers.wait_for_room(full, lambda: self._dispatcher.offer(message), timeout)

    async def drain(self, timeout: float) -> int:
        """Takes no more invocations from clients and finishes what waits; see :class:`EventBridge`."""
        left = await self._workers.drain(timeout)
        self._draining = True
        self._decide_routes()
        return left

    async def stop(self) -> None:
        """Takes nothing any more; there is nothing to disconnect."""
        self._draining = self._stopped = True
        self._decide_routes()
        self._dispatcher.close()

    def statistics(self) -> dict[str, Any]:
        """Counters and depths; see :class:`EventBridge`."""
        return {
            "subscriptions": self._workers.statistics(),
            "timeouts": self._timeouts,
            "lost_success_events": self._lost_events,
        }

    def _add(self, consumer: Consumer) -> int:
        queue = self._workers.add(consumer)
        for message_type in consumer.message_types or (None,):
            narrowed = {} if message_type is None else {"messageType": message_type}
            self._dispatcher.listen(queue, {**consumer.subscription, **narrowed})
        return queue

    def _route(self, receiver: Address) -> Route:
        endpoint = self._endpoints.get(Address(*names(receiver)))
        if endpoint is None or receiver.instance_id not in (None, self.instance_id):
            instance = f" of instance {receiver.instance_id}" if receiver.instance_id else ""
            raise UnhandledError(
                StatusCode.BAD_GATEWAY, f"nobody serves {'/'.join(names(receiver))}{instance} on this memory:// bridge"
            )
        route = Route(endpoint, self._dispatcher.could_match)
        self._routes[receiver] = route
        return route

    def _decide_routes(self) -> None:
        """Decides which commands run without a detour: none that is observed, and none once the end is near."""
        self._routes.clear()
        for endpoint in self._endpoints.values():
            if endpoint.local is None:
                continue
            is_observed = Route(endpoint, self._dispatcher.could_match).is_observed
            if self._arm is None or is_observed or self._draining:
                endpoint.local.close()
            else:
                endpoint.local.open(self._arm)

    async def _invoke_observed(self, route: Route, request: Request) -> bytes:
        """Runs a command whose messages some subscription may want to see."""
        command = request.message = command_message(request, new_id())
        request.reply = None  # the result is seen by others than the caller: the command itself must check it
        if route.command_is_seen:
            await self._emit_aside(command)
        sender = route.endpoint.address
        try:
            data = await self._limited(route.endpoint.execute(request), request)
        except ServiceError as error:
            if route.error_is_seen:
                await self._emit_aside(response_message(command, sender, error))
            raise
        # The answer is decided: room for its event is waited for outside the deadline, and its lack changes nothing.
        if route.success_is_seen:
            await self._emit_aside(response_message(command, sender, data, route.endpoint.success_event))
        return data

    async def _emit_aside(self, message: Message) -> None:
        try:
            await self.emit(message, self._queue_timeout)
        except UnhandledError as error:
            self._lost_events += 1
            from ..messages import logger

            logger.error("%s (event %s) was not queued: %s", message.message_type, message.event_name, error)

    async def _run(self, consumer: Consumer, message: Message) -> None:
        try:
            await consumer.handle(message)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is reported
            self._report(consumer, message, error)

    async def _run_all(self, consumer: Consumer, messages: list[Message]) -> None:
        from ..gathering import read_all  # most applications have no batch

        gathering = consumer.gathering
        assert gathering is not None
        numbers, payloads = read_all(
            gathering, messages, lambda number, error: self._report(consumer, messages[number], error)
        )
        if not numbers:
            return
        found = [messages[number] for number in numbers]
        try:
            await gathering.handle(found, payloads)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is reported
            for report in batch_error(consumer, found, error):
                self._dispatcher.offer(report)

    def _fail(self, consumer: Consumer, message: Message, error: BaseException) -> None:
        found = consumer.failed(error)
        if not isinstance(found, Exception):
            raise found
        self._report(consumer, message, found)

    def _report(self, consumer: Consumer, message: Message, error: Exception) -> None:
        report = subscription_error(consumer, message, error)
        if message.message_type != "infoSubscriptionError":
            self._dispatcher.offer(report)

    def _on_timeout(self, request: Request) -> None:
        self._timeouts += 1
        self._dispatcher.offer(timeout_message(request))
