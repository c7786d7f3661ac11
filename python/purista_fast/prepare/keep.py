"""What a piece knows, kept over restarts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Generic, Protocol, TypeVar

import anyio
from anyio.lowlevel import current_token

__all__ = ("Kept", "Piece", "States")


class States(Protocol):
    """What is needed of ``ctx.states``."""

    async def get(self, key: str, *, type: Any) -> Any:
        """The value, or ``None`` if there is none."""
        ...

    async def set(self, key: str, value: Any) -> None:
        """Keeps a value."""
        ...


class Piece(Protocol):
    """A piece with a state."""

    @property
    def state_type(self) -> Any:
        """The struct that it is kept as."""
        ...

    def snapshot(self) -> Any:
        """What it knows, apart from the piece."""
        ...

    def restore(self, state: Any) -> None:
        """Goes on from a snapshot."""
        ...


P = TypeVar("P", bound=Piece)


class Kept(Generic[P]):
    """A piece whose state survives a restart: what happens in the block is kept as a whole, or not at all::

        summaries = Kept("summaries", Tumbling(60.0))

        @service.subscription(measured, batch=Batch(100, within=5.0))
        async def summarise(ctx: Context, readings: list[Reading]) -> None:
            async with summaries.use(ctx.states) as windows:
                for reading in readings:
                    for closed in windows.add(reading.sensor, reading.at, reading.celsius):
                        await ctx.emit(summary, closed)

    The state is read before the first block of a run of the application, and written after each block: with a batch,
    once for all its messages. It belongs to one process.

    :param name: the key under which it is kept.
    :param piece: what is kept: windows, a dead band, a throttle.
    """

    def __init__(self, name: str, piece: P) -> None:
        self._name = name
        self._piece = piece
        self._saved: Any = None
        self._states: States | None = None
        """From which it was read; each run of an application has others."""
        self._empty: Any = piece.snapshot()
        self._lock: anyio.Lock | None = None
        self._loop: object = None
        """The event loop that the lock belongs to."""

    @asynccontextmanager
    async def use(self, states: States) -> AsyncIterator[P]:
        """The piece, for one block at a time. If the block raises, or the state cannot be written, the piece is what it
        was before.

        :param states: ``ctx.states``.
        :raises ValueError: if what was kept is not the state of such a piece.
        """
        if self._lock is None or self._loop is not current_token():
            self._lock, self._loop = anyio.Lock(), current_token()
        async with self._lock:
            if self._states is not states:
                self._states = None
                found = await states.get(self._name, type=self._piece.state_type)
                self._saved = self._empty if found is None else found
                self._piece.restore(self._saved)
                self._states = states
            try:
                yield self._piece
                state = self._piece.snapshot()
                await states.set(self._name, state)
            except BaseException:
                self._piece.restore(self._saved)
                raise
            self._saved = state
