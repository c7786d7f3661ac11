"""The calling side of commands: invocations that wait for their answers."""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio

from ..._core import Message, Pending, new_id
from ...errors import ServiceError, StatusCode, UnhandledError
from ..base import Request
from ..deadline import timed_out
from ..messages import command_message, error_of, timeout_message
from .expiry import event_expiry
from .publisher import Outgoing, Publisher
from .signal import Signal

__all__ = ("Calls",)


class Calls:
    """Sends commands and matches the answers.

    :param send_aside: publishes a message that nobody waits for.
    """

    def __init__(self, publisher: Publisher, prefix: str, send_aside: Callable[[Message], None]) -> None:
        self.late = 0
        """How many answers came for nobody."""
        self.timeouts = 0
        self._publisher = publisher
        self._prefix = prefix
        self._send_aside = send_aside
        self._pending = Pending()
        self._earlier = anyio.Event()
        self._due = 0.0
        """When the task that keeps the deadlines wakes up."""

    def __len__(self) -> int:
        return len(self._pending)

    async def invoke(self, request: Request) -> bytes:
        """Has a command run elsewhere; see :class:`EventBridge`."""
        deadline = time.monotonic() + request.timeout
        correlation_id = new_id()
        call = _Call(request)
        message = command_message(request, correlation_id)
        entry = Outgoing(
            message, self._prefix, lambda: event_expiry(message, deadline - time.monotonic(), 0), again=False
        )
        entry.on_settled = call.refuse
        self._publisher.post(entry)
        self._pending.insert(correlation_id, call, deadline)
        if deadline < self._due or not self._due:
            self._earlier.set()
        try:
            await call.done.wait()
        finally:
            self._pending.remove(correlation_id)
            self._publisher.forget(entry)
        if call.error is not None:
            raise call.error
        return call.data

    def answer(self, message: Message) -> None:
        """An answer has come."""
        call = self._pending.remove(message.correlation_id or "")
        if call is None:
            self.late += 1
            return
        if message.message_type == "commandSuccessResponse":
            call.finish(message.payload if message.payload is not None else b"null")
        else:
            call.fail(error_of(message))

    async def keep_deadlines(self) -> None:
        """Ends the invocations whose time is up; runs as long as the bridge."""
        while True:
            now = time.monotonic()
            for call in self._pending.expire(now):
                self.timeouts += 1
                call.fail(timed_out(call.request))
                self._send_aside(timeout_message(call.request))
            first = self._pending.next_deadline()
            self._earlier = anyio.Event()
            self._due = first or 0.0
            with anyio.move_on_after(None if first is None else max(0.0, first - time.monotonic())):
                await self._earlier.wait()

    def fail_all(self, reason: str) -> None:
        """Ends every invocation with 503."""
        for call in self._pending.drain():
            call.fail(UnhandledError(StatusCode.SERVICE_UNAVAILABLE, reason))


class _Call:
    """An invocation that waits."""

    __slots__ = ("data", "done", "error", "request")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.done = Signal()
        self.data = b""
        self.error: ServiceError | None = None

    def finish(self, data: bytes) -> None:
        self.data = data
        self.done.set()

    def fail(self, error: ServiceError) -> None:
        self.error = error
        self.done.set()

    def refuse(self, entry: Outgoing) -> None:
        """The broker has acknowledged the command; if it did not take it, nobody will answer."""
        error = entry.error()
        if error is not None and not self.done.is_set():
            self.fail(error)
