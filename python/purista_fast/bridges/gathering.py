"""The worker of a subscription that handles its messages together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import anyio
import anyio.lowlevel

from .._core import Message
from .base import Gathering

__all__ = ("Count", "read_all", "serve")


class Count:
    """What the worker has done; see :class:`Tally`, which counts one by one."""

    __slots__ = ("handled", "taken")

    def __init__(self) -> None:
        self.taken = 0
        self.handled = 0

    def stop(self) -> None:
        """The worker sees for itself that it was dismissed."""


class Crew(Protocol):
    """What the worker knows of its queue."""

    dismissed: bool
    hurries: bool
    tally: Any

    def take(self, most: int) -> list[Any]: ...
    async def park(self) -> bool: ...
    async def more(self) -> None: ...


async def serve(crew: Crew, gathering: Gathering, run: Callable[[list[Any]], Awaitable[None]]) -> None:
    """Takes items from a queue, and has them handled together: as many as a batch may have, or what has come until its
    first one has waited for long enough, or the application stops.

    :param run: handles the items; must not raise an ``Exception``.
    """
    count: Count = crew.tally
    most, within = gathering.batch.max_items, gathering.batch.within
    while not crew.dismissed:
        items = crew.take(most)
        if not items:
            if not await crew.park():
                return
            continue
        count.taken = len(items)
        with anyio.move_on_after(within):
            while len(items) < most and not crew.hurries and not crew.dismissed:
                await crew.more()
                items += crew.take(most - len(items))
                count.taken = len(items)
        await run(items)
        count.taken = 0
        count.handled += len(items)
        # Handlers that never wait must not keep the loop to themselves.
        await anyio.lowlevel.checkpoint()


def read_all(
    gathering: Gathering, messages: list[Message], failed: Callable[[int, Exception], None]
) -> tuple[list[int], list[Any]]:
    """The payloads that fit, and the numbers of their messages.

    :param failed: told of the number of each other message, and what is wrong with it.
    """
    numbers: list[int] = []
    payloads: list[Any] = []
    read = gathering.read
    for number, message in enumerate(messages):
        try:
            payloads.append(read(message))
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            failed(number, error)
        else:
            numbers.append(number)
    return numbers, payloads
