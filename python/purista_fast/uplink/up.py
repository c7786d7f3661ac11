"""What goes up: taken from the own bridge, and put into the outbox of the uplink as it is."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .._core import Address, Message
from ..bridges.base import Consumer, Gathering
from ..errors import UnhandledError
from ..policy import Batch, Retry
from ..reporter import SERVICE, VERSION
from .patterns import Patterns

if TYPE_CHECKING:
    from ..bridges.mqtt.signal import Signal
    from ..bridges.mqtt.upward import Upward

__all__ = ("AGAIN", "Up")

logger = logging.getLogger("purista_fast.uplink")
AGAIN = Retry(attempts=1_000_000_000, base=1.0, maximum=60.0, block=True)
"""What fails, fails for a reason that others mend: the disk, the own broker."""
_BOTH = ("customMessage", "commandSuccessResponse")
_QUEUE = 10_000
"""How many messages of ``memory://`` may wait before whoever emits waits."""
_WINDOW = 1000
"""How many may be on their way to the disk before others wait for it."""
_MOST = 4 * _WINDOW
"""How many may be while it takes nothing: more are dropped."""
_PATIENCE = 2.0
"""After how many seconds without an answer of the disk nobody waits for it any more."""
_TOGETHER = Batch(64, within=0.01)
"""How many messages of an own broker share a write, and for how many seconds one waits for others."""
_LOG = 10.0
"""How often drops are logged, in seconds."""


class Up:
    """Hands on the messages of chosen instances and events.

    :param events: names and patterns of events.
    :param instances: whose messages; the first one is the own.
    :param most: how many messages an own broker sends before they are acknowledged.
    """

    def __init__(self, events: Patterns, instances: Sequence[str], upward: Upward, most: int) -> None:
        self.taken = 0
        self.dropped = 0
        """How many were dropped because the disk took nothing."""
        self.unfit = 0
        """How many the broker elsewhere would never take."""
        self._events = events
        self._instances = instances
        self._upward = upward
        batch = Batch(min(_TOGETHER.max_items, most), _TOGETHER.within)
        self._gathering = Gathering(batch=batch, read=lambda message: message, handle=self._keep_all)
        self._open: deque[Signal] = deque()
        """What is on its way to the disk, in order."""
        self._stuck: Signal | None = None
        self._logged = float("-inf")

    def consumers(self, success_events: Iterable[str], *, is_durable: bool) -> Iterator[Consumer]:
        """What is to be subscribed on the own bridge: so that what is not wanted does not come, where that is possible.

        :param success_events: the events that the answers of the own commands are.
        :param is_durable: whether the bridge keeps a message until it was handled.
        """
        for number, instance in enumerate(self._instances):
            suffix = f"@{instance}" if number else ""
            if not self._events.patterns:
                for name in sorted(self._events.names):
                    yield self._consumer(name + suffix, _BOTH, instance, name, is_durable=is_durable)
                continue
            yield self._consumer("*" + suffix, _BOTH[:1], instance, None, is_durable=is_durable)
            if number:
                yield self._consumer(f"answers{suffix}", _BOTH[1:], instance, None, is_durable=is_durable)
                continue
            # Of the own answers only those that are such events: no other has to be made, or to travel.
            for name in sorted({name for name in success_events if self._events.match(name)}):
                yield self._consumer(f"{name} answers", _BOTH[1:], instance, name, is_durable=is_durable)

    def statistics(self) -> dict[str, int]:
        """Counters."""
        return {"taken": self.taken, "dropped": self.dropped, "unfit": self.unfit}

    def _consumer(
        self, label: str, types: tuple[str, ...], instance: str, event: str | None, *, is_durable: bool
    ) -> Consumer:
        subscription: dict[str, Any] = {"sender": {"instanceId": instance}}
        if event is not None:
            subscription["eventName"] = event
        return Consumer(
            address=Address(SERVICE, VERSION, f"uplink {label}", self._instances[0]),
            subscription=subscription,
            message_types=types,
            handle=self._hand_on,
            gathering=self._gathering if is_durable else None,
            shared=False,
            capacity=_QUEUE,
            retry=AGAIN,
            is_internal=True,
        )

    def _is_wanted(self, message: Message) -> bool:
        return message.event_name is not None and self._events.match(message.event_name)

    async def _keep_all(self, messages: Sequence[Message], _payloads: list[Message]) -> None:
        """Puts messages into the outbox; the own broker keeps them until they are there."""
        wanted = [message for message in messages if self._is_wanted(message)]
        await self._upward.emit_all(wanted, self._refuse)
        self.taken += len(wanted)

    def _refuse(self, error: UnhandledError) -> None:
        self.unfit += 1
        logger.error("an event does not go up: %s", error)

    async def _hand_on(self, message: Message) -> None:
        """Puts a message into the outbox soon: whoever emitted it waits only if the disk is slower than that."""
        if not self._is_wanted(message):
            return
        await self._wait_for_disk()
        if len(self._open) >= _MOST:
            self._drop()
            return
        self.taken += 1
        confirmed = self._upward.begin(message)
        if confirmed is not None:
            self._open.append(confirmed)

    async def _wait_for_disk(self) -> None:
        open_ = self._open
        while open_ and open_[0].is_set():
            open_.popleft()
        if len(open_) < _WINDOW or open_[0] is self._stuck:
            return
        try:
            await open_[0].wait(_PATIENCE)
        except TimeoutError:
            self._stuck = open_[0]

    def _drop(self) -> None:
        self.dropped += 1
        now = time.monotonic()
        if now - self._logged > _LOG:
            self._logged = now
            logger.error("the disk takes nothing: %d events did not go up", self.dropped)
