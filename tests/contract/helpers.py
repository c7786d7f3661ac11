"""Waiting for what has to come, and the types that the cases send."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypedDict, TypeVar

import anyio
from msgspec import Struct

from purista_fast import Event
from tests.patience import patient

T = TypeVar("T")
PATIENCE = patient(15.0)
"""How long a test waits for what has to come, in seconds."""


class Reading(Struct, frozen=True):
    sensor: str
    celsius: float


class Stored(Struct, frozen=True):
    sensor: str
    count: int


@dataclass
class Point:
    x: int
    y: int = 0


class Options(TypedDict):
    speed: int


reading_stored = Event("readingStored", Stored)
numbered = Event("numbered", int)
doubled = Event("doubled", int)
anything = Event("anything")


class Inbox(Generic[T]):
    """What handlers have got, in order."""

    def __init__(self) -> None:
        self.items: list[T] = []
        self._more = anyio.Event()

    def put(self, item: T) -> None:
        self.items.append(item)
        self._more.set()
        self._more = anyio.Event()

    async def wait(self, count: int = 1) -> list[T]:
        """The items, once there are so many."""
        with anyio.move_on_after(PATIENCE):
            while len(self.items) < count:
                await self._more.wait()
        assert len(self.items) >= count, f"{len(self.items)} of {count} came in {PATIENCE} s: {self.items[:10]}"
        return self.items


class Gate:
    """Holds handlers back until it is opened, and tells how they left it."""

    def __init__(self) -> None:
        self.entered: Inbox[Any] = Inbox()
        self.left: Inbox[str] = Inbox()
        self._open = anyio.Event()

    async def __call__(self, item: Any = None) -> None:
        self.entered.put(item)
        try:
            await self._open.wait()
        except BaseException:
            self.left.put("cancelled")
            raise
        self.left.put("passed")

    def open(self) -> None:
        self._open.set()


async def eventually(condition: Callable[[], Any]) -> None:
    """Waits until a condition holds that has nothing to wait for."""
    with anyio.move_on_after(PATIENCE):
        while not condition():  # noqa: ASYNC110  # there is nothing to wait for
            await anyio.sleep(0.005)
    assert condition()
