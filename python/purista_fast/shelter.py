"""A task group that a cancellation from outside does not reach."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

__all__ = ("sheltered_tasks",)


@asynccontextmanager
async def sheltered_tasks() -> AsyncIterator[TaskGroup]:
    """A task group whose tasks run until the end of the block, however that comes; then they are cancelled.

    Where the block is cancelled, it can still finish what its tasks have begun. A task that fails cancels the block.
    """
    ready, ended = anyio.Event(), anyio.Event()
    groups: list[TaskGroup] = []

    async def host() -> None:
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                groups.append(tasks)
                ready.set()
                await ended.wait()
                tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as outer:
        outer.start_soon(host, name="host of sheltered tasks")
        try:
            await ready.wait()
            yield groups.pop()
        finally:
            ended.set()
