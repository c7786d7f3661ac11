"""Messages for whose fate nobody waits: reports, news of services, success events, dead letters' events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from anyio.abc import TaskGroup

from ..._core import Message
from ...errors import UnhandledError
from ...policy import DEFAULT_KEEPING, Keeping
from ..messages import logger
from .outbox import Outbox
from .publisher import Outgoing

__all__ = ("Aside",)

_MOST = 1000
"""How many reports may be under way."""


class Aside:
    """Sends what nobody waits for; what cannot be sent is logged and counted.

    :param emit: publishes a message.
    """

    def __init__(self, emit: Callable[[Message], Awaitable[None]]) -> None:
        self.outbox: Outbox | None = None
        """Keeps events; set before the start, if there is one."""
        self.lost_reports = 0
        self.lost_events = 0
        self._emit = emit
        self._tasks: TaskGroup | None = None
        self._under_way = 0

    def start(self, tasks: TaskGroup) -> None:
        """Sends in this group from now on."""
        self._tasks = tasks

    def report(self, message: Message) -> None:
        """Publishes a message that tells of something."""
        if self._under_way >= _MOST or self._tasks is None:
            self.lost_reports += 1
            return
        self._under_way += 1
        self._tasks.start_soon(self._publish, message)

    def event(self, message: Message) -> None:
        """Publishes an event; it goes to disk if it has to."""
        self.begin(message, DEFAULT_KEEPING)

    def begin(self, message: Message, keeping: Keeping) -> Outgoing | None:
        """The same, and gives what is on its way; ``None`` if it cannot be sent, or there is no outbox."""
        if self.outbox is None:
            self.report(message)
            return None
        try:
            return self.outbox.begin(message, keeping)
        except UnhandledError as error:
            self.lost_events += 1
            logger.error("%s (event %s) was not sent: %s", message.message_type, message.event_name, error)
            return None

    async def admitted(self, event: Outgoing, timeout: float) -> None:
        """Waits until an event of :meth:`begin` is on its way or on disk, at most so many seconds."""
        if self.outbox is not None:
            await self.outbox.admitted(event, timeout)

    async def _publish(self, message: Message) -> None:
        try:
            await self._emit(message)
        except UnhandledError as error:
            self.lost_reports += 1
            logger.warning("%s was not sent: %s", message.message_type, error)
        finally:
            self._under_way -= 1
