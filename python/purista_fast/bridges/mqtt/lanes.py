"""What one subscription has before it: messages in memory, and how many more on disk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress

import anyio

from ..._core import Message, WireError, decode
from ...storage import seen
from ..base import Consumer
from .link import Link
from .subscriptions import Interest

__all__ = ("Delivery", "Item", "Lane", "label_of")

_AHEAD = 16
"""How many messages are read from disk ahead of a subscription, unless its batches have more."""


class Delivery:
    """A message that has arrived and is not acknowledged yet."""

    __slots__ = ("at", "key", "link", "mid", "open")

    def __init__(self, link: Link, mid: int, key: tuple[str, str] | None, at: float) -> None:
        self.link = link
        self.mid = mid
        self.key = key
        self.at = at
        """When it arrived, by the monotonic clock in seconds."""
        self.open = 0
        """How many subscriptions have not finished with it."""


class Item:
    """A message for one subscription, in memory."""

    __slots__ = (
        "again",
        "attempts",
        "delivery",
        "due",
        "is_parked",
        "is_running",
        "lane",
        "message",
        "seq",
        "size",
        "storing",
    )

    def __init__(self, lane: Lane, message: Message, delivery: Delivery | None, seq: int = 0) -> None:
        self.lane = lane
        self.message = message
        self.delivery = delivery
        """What is to be acknowledged for it; nothing if it has come from disk, or is there now."""
        self.seq = seq
        """Its number on disk; 0 if it is not there."""
        self.size = 0
        """What it takes there, in bytes."""
        self.attempts = 0
        self.due = 0.0
        self.again = False
        """Whether it is no duplicate, whatever its id."""
        self.is_running = False
        self.is_parked = False
        """Whether it is on disk now, and will come from there."""
        self.storing: anyio.Event | None = None
        """Set once it is on disk; while it is being written there."""

    @property
    def key(self) -> str:
        """What it is known by."""
        return key_of(self.message)


class Lane:
    """The messages of one subscription.

    :param interest: the subscription, and the queue that its workers are served from.
    """

    def __init__(self, interest: Interest) -> None:
        consumer: Consumer = interest.consumer
        self.interest = interest
        self.consumer = consumer
        self.queue = interest.queue
        self.label = label_of(consumer)
        self.items: dict[Item, None] = {}
        """What is in memory and not finished, in order."""
        self.behind = 0
        """How many messages on disk, or about to be, have to be handled before what arrives now."""
        self.last = 0
        """The number on disk up to which they have been read."""
        self.is_loading = False
        self.ahead = max(_AHEAD, consumer.gathering.batch.max_items if consumer.gathering else 1)
        """How many messages are read from disk ahead."""
        self.is_left = False
        """Whether nothing is handled any more, so that order is kept: the application stops."""
        self.errors = 0
        self.duplicates = 0
        self.seen: OrderedDict[str, None] | None = OrderedDict() if consumer.deduplicate else None
        self.begun: set[str] = set()
        """The ids of what is being handled, or tried again, where duplicates are left out."""

    def recall(self, keys: Iterable[str], begun: Iterable[bytes]) -> None:
        """Takes note of what earlier processes handled, and of the messages that they have tried."""
        self.seen = OrderedDict.fromkeys(keys)
        for data in begun:
            with suppress(WireError):
                message = decode(data)
                self.begun.add(key_of(message))

    def is_duplicate(self, item: Item) -> bool:
        """Whether a message was handled before, or another one of its id is in hand; if not, this one is now."""
        if self.seen is None or item.attempts or item.again:
            return False
        if item.key in self.seen or item.key in self.begun:
            return True
        self.begun.add(item.key)
        return False

    def remember(self, key: str) -> None:
        """Notes that a message has been handled."""
        if self.seen is not None:
            self.begun.discard(key)
            self.seen[key] = None
            if len(self.seen) > seen.REMEMBERED:
                self.seen.popitem(last=False)


def key_of(message: Message) -> str:
    """What a message is known by: an answer has the id of its command, so that alone is not enough."""
    return f"{message.message_type}:{message.id}"


def label_of(consumer: Consumer) -> str:
    """Where a subscription is: ``Service/1/target``."""
    address = consumer.address
    return f"{address.service_name}/{address.service_version}/{address.service_target}"
