"""Waiting for one thing, on both event loops."""

import anyio
import anyio.to_thread
import pytest

from purista_fast.bridges.mqtt.signal import Signal
from tests.patience import patient

pytestmark = pytest.mark.anyio


async def test_what_is_set_is_not_waited_for() -> None:
    signal = Signal()
    assert not signal.is_set()
    signal.set()
    signal.set()
    assert signal.is_set()
    with anyio.fail_after(patient(1)):
        await signal.wait()
        await signal.wait(0)


@pytest.mark.parametrize("timeout", [None, 10])
async def test_whoever_waits_is_woken(timeout: float | None) -> None:
    signal, woken = Signal(), anyio.Event()

    async def wait() -> None:
        await signal.wait(timeout)
        woken.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert not woken.is_set()
        signal.set()
        with anyio.fail_after(patient(5)):
            await woken.wait()


async def test_a_deadline() -> None:
    signal = Signal()
    for _ in range(2):
        with anyio.fail_after(patient(5)), pytest.raises(TimeoutError):
            await signal.wait(0.01)
    signal.set()
    await signal.wait(0.01)


async def test_a_cancelled_wait() -> None:
    signal = Signal()
    with anyio.move_on_after(0.01) as scope:
        await signal.wait(10)
    assert scope.cancelled_caught
    signal.set()
    await signal.wait(10)


async def test_one_is_made_without_an_event_loop_and_set_by_none() -> None:
    await anyio.to_thread.run_sync(lambda: Signal().set())
