"""Messages of others, put into the outbox as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..._core import Message
from ...errors import StatusCode, UnhandledError
from ...policy import DEFAULT_KEEPING
from .aside import Aside
from .emission import Event
from .outbox import Outbox
from .signal import Signal

__all__ = ("Upward",)

_FINAL = (StatusCode.BAD_REQUEST, StatusCode.FORBIDDEN, StatusCode.PAYLOAD_TOO_LARGE)
"""What the broker refuses for good."""


class Upward:
    """The way into the outbox for events that were emitted on another bridge: their sender stays who it is."""

    def __init__(self, outbox: Outbox, aside: Aside) -> None:
        self._outbox = outbox
        self._aside = aside

    def begin(self, message: Message) -> Signal | None:
        """Keeps an event for which nobody waits, and sends it; a failure is logged and counted.

        Returns what is set once it is with the broker, on disk, or given up; ``None`` if it cannot be sent at all.
        """
        event = self._aside.begin(message, DEFAULT_KEEPING)
        return event.confirmed if isinstance(event, Event) else None

    async def emit_all(self, messages: Sequence[Message], failed: Callable[[UnhandledError], None]) -> None:
        """Keeps events, and sends them, in order; they share a write.

        :param failed: told of an event that can never be sent; the others are.
        :raises UnhandledError: if one could not be kept now; others may have been.
        """
        started: list[Event] = []
        for message in messages:
            try:
                started.append(self._outbox.start_one(message, DEFAULT_KEEPING))
            except UnhandledError as error:
                failed(error)
        for event in started:
            try:
                await self._outbox.finish(event, None)
            except UnhandledError as error:
                if error.status not in _FINAL:
                    raise
                failed(error)
