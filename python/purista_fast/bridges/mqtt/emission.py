"""An event on its way from ``emit`` to the broker or the disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from ..._core import Message
from ...config import OutboxSettings
from ...errors import UnhandledError
from ...policy import Keeping, Overflow
from ...storage.clock import Moment
from ...storage.outbox import Row
from .publisher import Outgoing
from .signal import Signal

__all__ = ("Event", "FullError")


class FullError(UnhandledError):
    """There was no room."""


class Event(Outgoing):
    """An event that is emitted.

    :param since: when.
    :param expiry: how long the broker may keep it, in seconds from now.
    """

    __slots__ = ("confirmed", "failure", "is_alone", "overflow", "row", "state")

    def __init__(
        self,
        message: Message,
        prefix: str,
        keeping: Keeping,
        settings: OutboxSettings,
        since: Moment,
        expiry: Callable[[], int],
    ) -> None:
        super().__init__(message, prefix, expiry, again=True)
        self.confirmed = Signal()
        """Set once it is with the broker, on disk, or given up."""
        self.failure: UnhandledError | None = None
        self.is_alone = False
        """Whether nobody waits for it."""
        self.state: Literal["memory", "writing", "written"] = "memory"
        """While it is on its way to the broker: whether it is on disk as well."""
        self.overflow: Overflow = keeping.overflow or settings.overflow
        self.row = Row(
            message.event_name or message.message_type,
            self.payload,
            since,
            ordered=keeping.ordered,
            hold=(keeping.durability or settings.durability) == "disk",
        )
