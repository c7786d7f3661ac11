"""Tasks that a cancellation from outside does not reach."""

import anyio
import pytest

from purista_fast.shelter import sheltered_tasks

pytestmark = pytest.mark.anyio


async def test_tasks_outlive_the_cancellation_of_the_block_and_end_with_it() -> None:
    steps: list[str] = []
    finish, finished = anyio.Event(), anyio.Event()

    async def work() -> None:
        await finish.wait()
        steps.append("finished")
        finished.set()
        try:
            await anyio.sleep_forever()
        finally:
            steps.append("cancelled at the end")

    with anyio.CancelScope() as scope:
        async with sheltered_tasks() as tasks:
            tasks.start_soon(work)
            scope.cancel()
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    finish.set()
                    await finished.wait()
    assert scope.cancelled_caught
    assert steps == ["finished", "cancelled at the end"]


async def test_a_task_that_fails_cancels_the_block() -> None:
    async def fail() -> None:
        raise ValueError("broken")

    async def run() -> None:
        async with sheltered_tasks() as tasks:
            tasks.start_soon(fail)
            await anyio.sleep_forever()

    with pytest.raises(BaseExceptionGroup) as caught:
        await run()
    assert caught.value.subgroup(ValueError) is not None


async def test_an_error_of_the_block_ends_the_tasks() -> None:
    async def run() -> None:
        async with sheltered_tasks() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            raise ValueError("broken")

    with pytest.raises(BaseExceptionGroup) as caught:
        await run()
    assert caught.value.subgroup(ValueError) is not None


async def test_cancelled_before_it_begins() -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        async with sheltered_tasks():
            await anyio.sleep_forever()
    assert scope.cancelled_caught
