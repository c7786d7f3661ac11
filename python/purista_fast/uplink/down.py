"""What comes down: events of the broker elsewhere, put on the own bridge as they are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

import anyio

from .._core import Address, Message
from ..bridges.base import Consumer
from ..reporter import SERVICE, VERSION
from .up import AGAIN

if TYPE_CHECKING:
    from ..bridges import EventBridge

__all__ = ("Down",)


class Down:
    """Hands on events, each once, in order of arrival; acknowledged when the own bridge has them.

    :param own: the instances whose messages go up: what comes back of them is dropped.
    :param ready: set once the own bridge can be used.
    """

    def __init__(self, own: Collection[str], local: EventBridge, ready: anyio.Event) -> None:
        self.taken = 0
        self.returned = 0
        """How many came back to where they had come from."""
        self._own = own
        self._local = local
        self._ready = ready

    def consumers(self, events: Iterable[str], instance_id: str) -> Iterator[Consumer]:
        """What is to be subscribed on the uplink: by each instance for itself, so that all get it."""
        for name in events:
            yield Consumer(
                address=Address(SERVICE, VERSION, f"uplink {name}", instance_id),
                subscription={"eventName": name},
                message_types=("customMessage", "commandSuccessResponse"),
                handle=self._take,
                shared=False,
                deduplicate=True,
                retry=AGAIN,
                is_internal=True,
            )

    def statistics(self) -> dict[str, int]:
        """Counters."""
        return {"taken": self.taken, "returned": self.returned}

    async def _take(self, message: Message) -> None:
        if message.sender.instance_id in self._own:
            self.returned += 1
            return
        await self._ready.wait()
        await self._local.emit(message)
        self.taken += 1
