"""``mqtt://`` and ``mqtts://``: an MQTT 5 broker between the processes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import msgspec
from anyio.abc import TaskGroup

from ..._core import Address, Message
from ...config import Settings
from ...errors import BridgeError, DefinitionError, StatusCode, UnhandledError
from ...policy import DEFAULT_KEEPING, Keeping
from ..base import Capability, Consumer, Endpoint, Request
from ..messages import batch_error, subscription_error
from ..routes import names
from ..workers import Workers
from .aside import Aside
from .away import Away
from .broker import Broker
from .calls import Calls
from .control import Control
from .expiry import event_expiry
from .intake import Intake
from .lanes import Item, label_of
from .left_behind import warn_of_left_behind
from .link import Refused
from .local import Local
from .publisher import Outgoing, Publisher
from .retire import Retired, Retirement
from .rivals import Rivals
from .serving import Serving
from .sessions import Sessions
from .state import State, check_instance_id, check_prefix, random_id
from .store import Store
from .subscriptions import Interest
from .token import Token
from .upward import Upward

__all__ = ("MqttBridge",)

_NEWS = 1.0
"""After how many seconds without a connection nobody waits any more to tell what is new of a service."""


class MqttBridge:
    """Carries commands and events through a broker.

    Two sessions: *control* for commands, answers and everything that is published, acknowledged on receipt; *events*
    for subscriptions, durable, acknowledged after the handlers. On one connection, handlers that wait for answers
    would fill the broker's window, and wait for ever.

    :param name: the application's name, under which its state is kept.
    :param token: gives the password for each connection.
    :param away: what is different for an uplink, if it is one.
    :raises ConfigError: for settings that cannot work.
    :raises BridgeError: if the instance id cannot be kept.
    """

    dispatcher = None
    capabilities: frozenset[Capability] = frozenset({"durable", "shared", "remote", "disk", "retry"})

    def __init__(self, settings: Settings, *, name: str, token: Token | None = None, away: Away | None = None) -> None:
        bridge = self._settings = settings.bridge
        self._ack_within = settings.retries.ack_within
        self._broker = Broker.of(bridge, token)
        self._state = State.of(settings, name)
        self.instance_id = self._state.instance_id if self._state else random_id()
        check_prefix(bridge.prefix)
        self._name = name
        self._app = settings.app
        self._away = away
        self._publisher = Publisher(
            max_packet_size=bridge.max_packet_size, max_payload_size=bridge.max_payload_size, where=str(self._broker)
        )
        self._workers = Workers(self._run, run_all=self._run_all)
        self._intake = Intake(bridge.prefix)
        self._aside = Aside(self._publish_aside)
        self._calls = Calls(self._publisher, bridge.prefix, self._aside.report)
        self._serving = Serving(
            self.instance_id,
            self._publisher,
            self._intake,
            prefix=bridge.prefix,
            limit=bridge.max_commands,
            default_timeout=bridge.command_timeout,
            queue_timeout=bridge.queue_timeout,
            message_expiry=bridge.message_expiry,
        )
        self._serving.find = away.find if away else None
        urgency = away.urgency if away else None
        self._store = (
            Store(settings, self._state, self._publisher, self._workers, self._intake, self._aside.event, urgency)
            if self._state
            else None
        )
        self._aside.outbox = self._serving.outbox = self._store.outbox if self._store else None
        if self._store is None:
            self.capabilities = frozenset({"shared", "remote"})
        elif away is not None:
            self.upward = Upward(self._store.outbox, self._aside)
        self._events = self._store.events if self._store else None
        self._local = Local(bridge, self.instance_id, self._serving, self._workers, self._aside)
        self._rivals = Rivals(self._broker, self.instance_id, bridge.prefix, timeout=bridge.connect_timeout)
        self._sessions = Sessions(bridge, self._broker, self.instance_id, self._rivals, is_patient=away is not None)
        self._control = Control(
            self.instance_id,
            bridge.prefix,
            rivals=self._rivals,
            publisher=self._publisher,
            intake=self._intake,
            calls=self._calls,
            serving=self._serving,
            workers=self._workers,
            outbox=self._store.outbox if self._store else None,
            before_publishing=self._sessions.subscriptions_first,
            echoes=self._local.echoes,
            send_aside=self._aside.report,
            is_away=away is not None,
        )
        self._subscribers: list[Address] = []
        self._is_draining = False
        self._retirement: Retirement | None = None

    @staticmethod
    def check(settings: Settings, token: Token | None) -> None:
        """Looks at settings without opening anything, and without the files that they name.

        :raises ConfigError: for what can be seen to be wrong.
        """
        bridge = settings.bridge
        tls = bridge.url.startswith("mqtts:")
        plain = msgspec.structs.replace(bridge, ca_file=None, cert_file=None, key_file=None) if tls else bridge
        Broker.of(plain, token)
        check_prefix(bridge.prefix)
        if bridge.instance_id is not None:
            check_instance_id(f"{bridge.instance_id}_1" if settings.app.workers else bridge.instance_id)

    def serve(self, endpoint: Endpoint) -> None:
        """Adds a command; see :class:`EventBridge`."""
        self._serving.add(endpoint)

    def listen(self, consumer: Consumer) -> None:
        """Adds a subscription; see :class:`EventBridge`."""
        if self._store is None:
            raise DefinitionError(f"an application called {self._name!r} has no state, so it can have no subscriptions")
        self._check_batch(consumer)
        # The broker sends no more than that, so no queue is ever full.
        interest = self._add(consumer, 2 * self._settings.receive_maximum + 100)
        self._store.events.table.add(interest)
        self._store.spool.add(interest)
        if not consumer.is_internal:
            self._subscribers.append(consumer.address)

    async def start(self, tasks: TaskGroup) -> None:
        """Connects; see :class:`EventBridge`."""
        self._aside.start(tasks)
        self._local.start()
        if self._state is not None:
            self._state.lock()
        try:
            if self._retirement is not None:
                await self._rivals.refuse()
            elif self._state is not None:
                warn_of_left_behind(self._state, self._app)
            if self._store is not None:
                await self._store.open(tasks)
            self._workers.start(tasks)
            self._serving.start(tasks)
            await self._sessions.start(
                *(tasks, self._control, self._events, self._announced()),
                is_subscribed=self._store is not None and bool(self._store.events.table.filters),
            )
            tasks.start_soon(self._calls.keep_deadlines)
            if self._store is not None:
                self._store.start(tasks)
        except BaseException:
            await self._release()
            raise

    def invoke(self, request: Request) -> Awaitable[bytes]:
        """Runs a command here if it is served here, else through the broker; see :class:`EventBridge`."""
        if self._is_draining:
            raise UnhandledError(StatusCode.SERVICE_UNAVAILABLE, "the application is stopping")
        route = self._local.find(request.receiver)
        return self._calls.invoke(request) if route is None else self._local.invoke(route, request)

    async def emit(self, message: Message, timeout: float | None = None, keeping: Keeping = DEFAULT_KEEPING) -> None:
        """Hands an event to the broker, or keeps it on disk; see :class:`EventBridge`.

        A client without state, and a message that is no event, have no outbox: these wait for the broker.

        :raises UnhandledError: 507 or 503 if it could not be kept; 503 without an outbox if there was no room in the
            send window in time, or no connection; 504 if nobody knows whether it will arrive; 400, 403 or 413 as the
            broker refuses it.
        """
        if self._store is not None and message.event_name is not None:
            await self._store.outbox.emit(message, keeping, timeout)
            return
        if message.message_type.startswith("info") and self._publisher.is_away(_NEWS):
            raise UnhandledError(StatusCode.SERVICE_UNAVAILABLE, f"no connection to {self._broker}")
        entry = self._outgoing(message)
        self._publisher.post(entry)
        await self._publisher.admitted(entry, timeout)
        await self._publisher.acknowledged(entry, self._settings.emit_timeout)

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection now; see :class:`EventBridge`."""
        return self._sessions.is_connected

    def on_connected(self, tell: Callable[[], None]) -> None:
        """Has this called after each connection; see :class:`EventBridge`."""
        self._sessions.tell = tell

    def ailment(self) -> str | None:
        """A session or a disk that has stopped working; see :class:`EventBridge`."""
        return self._sessions.ailment() or (self._store.database.ailment() if self._store else None)

    async def tap(self, consumer: Consumer) -> Callable[[], Awaitable[None]]:
        """Adds a consumer while the bridge runs; see :class:`EventBridge`."""
        interest = self._add(msgspec.structs.replace(consumer, shared=False, drop_oldest=True), None)

        async def remove() -> None:
            self._local.forget_routes()
            self._workers.remove(interest.queue)
            await self._control.untap(interest)

        self._local.forget_routes()
        try:
            await self._control.tap(interest)
        except BaseException as error:
            self._workers.remove(interest.queue)
            if isinstance(error, Refused):
                raise BridgeError(f"the broker at {self._broker} refuses {error}") from error
            raise
        return remove

    async def drain(self, timeout: float) -> int:
        """Takes nothing more from the broker and finishes what runs; see :class:`EventBridge`."""
        end = anyio.current_time() + timeout
        if self._store is not None:
            self._store.events.is_draining = self._store.spool.is_draining = True
            self._store.spool.attempts.leave()
        self._serving.is_draining = True
        self._local.forget_routes()
        self._workers.hurry()
        with anyio.move_on_after(timeout):
            await self._control.drain()
            await self._serving.wait_until_idle()
        left = await self._workers.drain(max(0.0, end - anyio.current_time()))
        self._serving.is_closed = self._is_draining = True
        return left + self._serving.running

    async def stop(self) -> None:
        """Disconnects; see :class:`EventBridge`. The broker keeps what the subscriptions have not handled."""
        self._is_draining = True
        if self._store is not None:
            self._store.outbox.backlog.holding.mark(now=True)
        await self._sessions.stop()
        await self._release()

    def prepare_retirement(self) -> None:
        """Makes the next :meth:`start` subscribe nothing: only what waits already comes, to be handled.

        :raises BridgeError: from :meth:`start`, if the instance runs here or elsewhere.
        """
        self._retirement = Retirement(self.instance_id, self.statistics)
        self._serving.is_draining = True
        if self._events is not None:
            self._events.is_retiring = True

    async def retire(self, quiet: float, timeout: float) -> Retired:
        """Handles what waits for this instance; then :meth:`stop` ends its session, and removes its state if nothing
        is left in it.

        :param quiet: after how many seconds without a message the session counts as empty.
        :param timeout: how long all of it may take, in seconds.
        """
        assert self._retirement is not None, "prepare_retirement() comes first"
        outcome = await self._retirement.run(quiet, timeout)
        self._sessions.ends = outcome.is_ended
        return outcome

    def statistics(self) -> dict[str, Any]:
        """Counters and depths; see :class:`EventBridge`."""
        return {
            "connected": self.is_connected,
            "connected_for": self._sessions.connected_for,
            "reconnects": self._sessions.reconnects,
            **self._publisher.statistics(),
            "pending_invocations": len(self._calls),
            "timeouts": self._calls.timeouts + self._local.timeouts,
            "late_answers": self._calls.late,
            **self._serving.statistics(),
            "lost_success_events": self._aside.lost_events,
            "lost_reports": self._aside.lost_reports,
            "rejected": dict(self._intake.rejected),
            **(self._store.statistics() if self._store else {}),
            "subscriptions": self._workers.statistics(),
        }

    # --- start and stop

    def _announced(self) -> list[tuple[str, str]]:
        """The services that run here, by name and version."""
        if self._away is not None:
            return list(self._away.services)
        served = (endpoint.address for endpoint in self._serving.endpoints.values() if not endpoint.is_internal)
        return sorted({names(address)[:2] for address in (*served, *self._subscribers)})

    async def _release(self) -> None:
        self._calls.fail_all("the application has stopped")
        if self._store is not None:
            with anyio.CancelScope(shield=True):
                await self._store.close()
        if self._state is not None:
            if self._retirement is not None:
                self._state.retire(self._retirement.outcome)
            self._state.release()

    # --- events

    def _add(self, consumer: Consumer, capacity: int | None) -> Interest:
        queue = self._workers.add(consumer, capacity)
        interest = Interest(consumer, queue, self._settings.prefix)
        for message_type in consumer.message_types or (None,):
            narrowed = {} if message_type is None else {"messageType": message_type}
            # Only asked which messages it could match: delivery goes by the identifiers of the broker.
            self._workers.dispatcher.listen(queue, {**consumer.subscription, **narrowed})
        return interest

    async def _run(self, consumer: Consumer, item: Item | Message) -> None:
        if isinstance(item, Item):
            assert self._store is not None
            await self._store.spool.attempts.run(consumer, item, self._report)
            return
        try:
            await consumer.handle(item)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is reported
            self._report(consumer, item, error, "")

    async def _run_all(self, consumer: Consumer, items: list[Item]) -> None:
        from .together import run_all  # most applications have no batch

        assert self._store is not None
        await run_all(self._store.spool.attempts, consumer, items, self._report_all)

    def _report_all(self, consumer: Consumer, messages: list[Message], error: Exception, fate: str) -> None:
        for report in batch_error(consumer, messages, error, fate):
            self._aside.report(report)

    def _check_batch(self, consumer: Consumer) -> None:
        """Refuses a batch that could not be had with these settings."""
        if consumer.gathering is None:
            return
        batch, most = consumer.gathering.batch, self._settings.receive_maximum
        if batch.max_items > most:
            raise BridgeError(
                f"{label_of(consumer)} gathers {batch.max_items} messages, and the broker sends at most {most} before "
                "some are acknowledged: lower max_items, or raise bridge.receive_maximum"
            )
        if batch.within >= self._ack_within:
            raise BridgeError(
                f"{label_of(consumer)} gathers messages for {batch.within:g} s, and what waits for "
                f"{self._ack_within:g} s moves to disk: lower within, or raise retries.ack_within"
            )

    def _report(self, consumer: Consumer, message: Message, error: Exception, fate: str) -> None:
        report = subscription_error(consumer, message, error, fate)
        if message.message_type != "infoSubscriptionError":
            self._aside.report(report)

    # --- publishing

    def _outgoing(self, message: Message) -> Outgoing:
        longest = self._settings.message_expiry
        return Outgoing(message, self._settings.prefix, lambda: event_expiry(message, longest, longest), again=True)

    async def _publish_aside(self, message: Message) -> None:
        await self.emit(message, self._settings.queue_timeout)
