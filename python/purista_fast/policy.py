"""What becomes of messages that cannot go on now: how events are kept, and how failing handlers are tried again."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from .errors import DefinitionError

__all__ = ("DEFAULT_KEEPING", "DEFAULT_RETRY", "Batch", "Durability", "Keeping", "Overflow", "Retry", "Trust")

Durability = Literal["broker", "disk"]
"""``broker``: ``emit`` returns when the broker has acknowledged the event, or it is on disk because the broker did not
in time. ``disk``: it is on disk in any case, and stays there until the broker has had time to save it."""
Overflow = Literal["reject", "drop_oldest", "drop_newest", "block"]
"""What happens to an event for which the outbox has no room: ``emit`` raises 507; the oldest of the same name make
room; it is dropped itself; ``emit`` waits. Each drop is counted and logged."""

Trust = Literal["auto", "always", "never"]
"""Whether the wall clock is right: as the kernel says, always, never."""


class Keeping(msgspec.Struct, frozen=True):
    """How the outbox keeps an event; ``None`` leaves it to the configuration (``[outbox]``)."""

    durability: Durability | None = None
    ordered: bool = True
    """Whether it waits for earlier events of its name that are on disk still."""
    overflow: Overflow | None = None

    def __post_init__(self) -> None:
        if self.durability not in (None, *get_args(Durability)) or self.overflow not in (None, *get_args(Overflow)):
            raise DefinitionError(
                f"durability={self.durability!r}, overflow={self.overflow!r}: durability must be one of "
                f"{get_args(Durability)}, overflow one of {get_args(Overflow)}"
            )


DEFAULT_KEEPING = Keeping()


class Retry(msgspec.Struct, frozen=True):
    """How often, and when, a failing subscription is tried again.

    The pause before attempt ``n + 1`` is ``base * 2 ** (n - 1)`` seconds, at most ``maximum``, and up to ``jitter`` of
    it more or less, by chance. After the last attempt the message becomes a dead letter.

    >>> retry = Retry(attempts=4, base=0.5, maximum=1.5, jitter=0.0)
    >>> [retry.pause(failed) for failed in (1, 2, 3)]
    [0.5, 1.0, 1.5]

    :param attempts: how many attempts there are in all; 1 means no retry.
    :param base: the first pause, in seconds.
    :param maximum: the longest pause, in seconds.
    :param jitter: the part of a pause that is left to chance, 0 to 1.
    :param block: whether the messages behind it wait, so that order is kept; otherwise they go on.
    :raises DefinitionError: for numbers that cannot work.
    """

    attempts: int = 5
    base: float = 1.0
    maximum: float = 300.0
    jitter: float = 0.1
    block: bool = False

    def __post_init__(self) -> None:
        if self.attempts < 1 or not 0 < self.base <= self.maximum < float("inf") or not 0 <= self.jitter <= 1:
            raise DefinitionError(
                f"{self!r} cannot work: attempts must be at least 1, 0 < base <= maximum (seconds), 0 <= jitter <= 1"
            )

    def pause(self, failed: int) -> float:
        """How long to wait after so many failed attempts, in seconds."""
        # The exponent is bounded, for a float is.
        pause = min(self.base * 2.0 ** min(failed - 1, 60), self.maximum)
        if not self.jitter:
            return pause
        import random  # most applications never need it

        return pause * (1 + random.uniform(-self.jitter, self.jitter))  # noqa: S311 - nothing secret


DEFAULT_RETRY = Retry()


class Batch(msgspec.Struct, frozen=True):
    """How a subscription gathers messages, to handle them together.

    >>> Batch(100, within=5.0)
    Batch(max_items=100, within=5.0)

    :param max_items: how many messages a batch may have.
    :param within: how long its first message waits for others at most, in seconds.
    :raises DefinitionError: for numbers that cannot work.
    """

    max_items: int
    within: float

    def __post_init__(self) -> None:
        # A float would be noticed with the first message only.
        if type(self.max_items) is not int or not 1 <= self.max_items <= 65_535 or not 0 < self.within < float("inf"):
            raise DefinitionError(f"{self!r} cannot work: 1 <= max_items <= 65535, within above 0 seconds")
