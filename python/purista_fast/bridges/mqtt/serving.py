"""The serving side of commands."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import anyio
import msgspec
from anyio.abc import TaskGroup

from ..._core import Address, Message, Publish, WireError, command_filter
from ...errors import DefinitionError, ServiceError, StatusCode, UnhandledError
from ..base import Endpoint, Request
from ..messages import logger, response_message
from ..routes import names
from .emission import Event
from .expiry import event_expiry
from .intake import Intake, topic_of
from .limits import MOST_KEY
from .outbox import Outbox
from .publisher import Outgoing, Publisher

__all__ = ("Serving",)

_REMEMBERED = 100_000
"""How many commands are remembered at most, so that one that arrives twice runs once."""


class Serving:
    """Runs the commands that arrive, each once, and publishes their answers.

    :param limit: how many run at the same time.
    :param default_timeout: the timeout of a command that brings none, in seconds.
    :param queue_timeout: how long an answer waits for room at least, in seconds.
    :param message_expiry: how long the broker keeps an answer that is an event, in seconds.
    """

    def __init__(
        self,
        instance_id: str,
        publisher: Publisher,
        intake: Intake,
        *,
        prefix: str,
        limit: int,
        default_timeout: float,
        queue_timeout: float,
        message_expiry: float,
    ) -> None:
        self.endpoints: dict[Address, Endpoint] = {}
        self.running = 0
        self._internal = 0
        """How many of these are the framework's own."""
        self.served = 0
        self.other_instance = 0
        """How many commands came that name another instance."""
        self.repeated = 0
        self.expired = 0
        """How many commands were not run because their caller had given up."""
        self.lost_answers = 0
        self.is_draining = False
        """Whether the commands are taken from the broker no more; what comes nevertheless is run."""
        self.is_closed = False
        """Whether what comes is refused."""
        self.outbox: Outbox | None = None
        """Keeps answers that are events; set before the start, if there is one."""
        self.find: Callable[[Address], Endpoint] | None = None
        """Gives what runs a command that is not served. Then only commands come that name this instance: one that names
        none is for others. Set before the start."""
        self._read_whole: dict[Address, bool] = {}
        self._instance_id = instance_id
        self._publisher = publisher
        self._intake = intake
        self._prefix = prefix
        self._limit = limit
        self._default_timeout = default_timeout
        self._queue_timeout = queue_timeout
        self._message_expiry = message_expiry
        self._seen: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._tasks: TaskGroup | None = None
        self._idle: anyio.Event | None = None

    def add(self, endpoint: Endpoint) -> None:
        """Adds a command.

        :raises DefinitionError: if it is served already, or cannot be a topic.
        """
        address = Address(*names(endpoint.address))
        if address in self.endpoints:
            raise DefinitionError(f"{'/'.join(names(address))} is served twice in this application")
        self.filter_of(address)
        self.endpoints[address] = endpoint

    def all_filters(self) -> list[str]:
        """The filters for the commands that are served."""
        return [self.filter_of(address) for address in self.endpoints]

    def filters(self) -> list[str]:
        """Those that are to be subscribed now."""
        return [] if self.is_draining or self.find is not None else self.all_filters()

    def filter_of(self, address: Address) -> str:
        """The filter for the calls of one command."""
        service, version, target = names(address)
        parts = {"serviceName": service, "serviceVersion": version, "serviceTarget": target}
        try:
            return command_filter(parts, prefix=self._prefix)
        except WireError as error:
            raise DefinitionError(f"{service}/{version}/{target} cannot be served by MQTT: {error}") from error

    def start(self, tasks: TaskGroup) -> None:
        """Lets commands run in this group from now on."""
        self._tasks = tasks

    def arrived(self, message: Message, arrived: Publish) -> None:
        """A command has come: runs it, unless it is for others, or came before."""
        receiver = message.receiver
        if receiver is None:  # decoding refuses such a command
            return
        if receiver.instance_id not in ((None, "", self._instance_id) if self.find is None else (self._instance_id,)):
            self.other_instance += 1
            return
        endpoint = self.endpoints.get(Address(*names(receiver)))
        if endpoint is None and self.find is not None:
            endpoint = self.find(receiver)
        if endpoint is None:
            self._intake.reject("unknown command", topic_of(arrived), f"{'/'.join(names(receiver))} is not served here")
            return
        if max(len(message.sender.instance_id or ""), len(message.correlation_id or "")) > MOST_KEY:
            self._intake.reject("id too long", topic_of(arrived), f"more than {MOST_KEY} characters")
            return
        # PURISTA rounds timeouts down, so that 0 stands for any below a second.
        timeout = float(arrived.expiry or 0) or self._default_timeout
        deadline = time.monotonic() + timeout
        if self._is_repeated(message, deadline) or self._tasks is None:
            return
        # The framework's own have as many places besides, so that neither keeps the other out.
        running = self._internal if endpoint.is_internal else self.running - self._internal
        if running >= self._limit or self.is_closed:
            if self._publisher.waiting > self._limit:
                self.lost_answers += 1  # nobody takes what we send: not even refusals may pile up
                return
            error = UnhandledError(StatusCode.SERVICE_UNAVAILABLE, "this instance takes no more commands now")
            self._answer(endpoint, message, error, deadline)
            return
        self.running += 1
        self._internal += endpoint.is_internal
        self._tasks.start_soon(self._run, endpoint, message, deadline)

    async def wait_until_idle(self) -> None:
        """Waits until no command runs."""
        while self.running:
            self._idle = self._idle or anyio.Event()
            await self._idle.wait()

    def statistics(self) -> dict[str, int]:
        """Counters and depths."""
        return {
            "commands_running": self.running,
            "commands_served": self.served,
            "commands_for_other_instances": self.other_instance,
            "commands_repeated": self.repeated,
            "commands_expired": self.expired,
            "lost_answers": self.lost_answers,
        }

    async def _run(self, endpoint: Endpoint, command: Message, deadline: float) -> None:
        try:
            if time.monotonic() >= deadline:
                self.expired += 1
                return
            outcome = await self._execute(endpoint, command, deadline)
            self.served += 1
            entry = self._answer(endpoint, command, outcome, deadline)
            # A command counts as running until its answer is on its way, so that answers cannot pile up.
            patience = max(deadline - time.monotonic(), self._queue_timeout)
            if self.outbox is not None and isinstance(entry, Event):
                await self.outbox.admitted(entry, patience)
            elif entry is not None:
                await self._publisher.admitted(entry, patience)
        except UnhandledError as error:
            self.lost_answers += 1
            logger.error("the answer of %s was not sent: %s", "/".join(names(endpoint.address)), error)
        finally:
            self.running -= 1
            self._internal -= endpoint.is_internal
            if not self.running and self._idle is not None:
                self._idle.set()
                self._idle = None

    async def _execute(self, endpoint: Endpoint, command: Message, deadline: float) -> bytes | ServiceError:
        try:
            _, _, trace_id, principal_id, tenant_id, event_name, traceparent, sender, _, payload, parameter = (
                command.unpack()
            )
        except WireError as error:
            self._intake.reject("not a call", "", f"{command!r}: {error}")
            return UnhandledError(StatusCode.BAD_REQUEST, f"the payload of a command: {error}")
        request = Request(
            sender=sender,
            receiver=endpoint.address,
            timeout=deadline - time.monotonic(),
            payload=payload,
            parameter=parameter,
            trace_id=trace_id,
            principal_id=principal_id,
            tenant_id=tenant_id,
            traceparent=traceparent,
            event_name=event_name,
            message=command,
        )
        try:
            return await endpoint.execute(request)
        except ServiceError as error:
            return error

    def _answer(
        self, endpoint: Endpoint, command: Message, outcome: bytes | ServiceError, deadline: float
    ) -> Outgoing | None:
        """Publishes the answer; one that cannot be published becomes an error that can."""
        address = endpoint.address
        response = response_message(command, address, outcome, endpoint.success_event, self._is_read_whole(endpoint))

        def expiry() -> int:
            return event_expiry(response, deadline - time.monotonic(), self._message_expiry)

        try:
            if response.event_name is not None and self.outbox is not None:
                # As an answer it waits for no other event.
                return self.outbox.begin(response, msgspec.structs.replace(endpoint.keeping, ordered=False))
            # Sent again after a break: a caller drops the second one.
            entry = Outgoing(response, self._prefix, expiry, again=True)
            entry.on_settled = self._settled
            self._publisher.post(entry)
            return entry
        except UnhandledError as error:
            logger.error("the answer of %s cannot be sent: %s", "/".join(names(address)), error)
            if isinstance(outcome, UnhandledError):
                self.lost_answers += 1
                return None
            instead = UnhandledError(error.status, "the answer cannot be sent")
            return self._answer(endpoint, command, instead, deadline)

    def _is_read_whole(self, endpoint: Endpoint) -> bool:
        """Whether a result has no part that was not read when it was decoded, so that it need not be checked again."""
        address = endpoint.address
        if endpoint.result is Any:
            return False
        if address not in self._read_whole:
            from ...closed import is_closed_type  # what it imports is of use only to those who serve

            self._read_whole[address] = is_closed_type(endpoint.result)
        return self._read_whole[address]

    def _settled(self, entry: Outgoing) -> None:
        error = entry.error()
        if error is not None:
            self.lost_answers += 1
            logger.error("an answer was refused: %s", error)

    def _is_repeated(self, message: Message, deadline: float) -> bool:
        """Whether a command came before: by the shared filter and by that of the own answers, or sent again."""
        key = (message.sender.instance_id or "", message.correlation_id or "")
        if key in self._seen:
            self.repeated += 1
            return True
        now = time.monotonic()
        while self._seen and (len(self._seen) >= _REMEMBERED or next(iter(self._seen.values())) < now):
            self._seen.popitem(last=False)
        self._seen[key] = deadline
        return False
