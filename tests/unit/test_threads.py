"""The pool of threads: bounded, and honest about threads whose caller has gone."""

import threading

import anyio
import pytest

from purista_fast.threads import ThreadPool
from tests.patience import patient

pytestmark = pytest.mark.anyio


async def test_results_and_errors() -> None:
    pool = ThreadPool(2)

    def divide(a: int, *, by: int) -> float:
        return a / by

    assert await pool.run(divide, 6, by=3) == 2
    with pytest.raises(ZeroDivisionError):
        await pool.run(divide, 6, by=0)


async def test_no_more_than_its_size() -> None:
    pool = ThreadPool(3)
    lock = threading.Lock()
    meet = threading.Barrier(3)
    running = most = 0

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        meet.wait(timeout=patient(20))
        with lock:
            running -= 1

    async with anyio.create_task_group() as tasks:
        for _ in range(12):
            tasks.start_soon(pool.run, work)
    assert most == 3


async def test_a_cancelled_caller_goes_on_and_the_thread_keeps_its_place() -> None:
    pool = ThreadPool(1)
    finish, entered = threading.Event(), threading.Event()
    order: list[str] = []

    def slow() -> None:
        entered.set()
        finish.wait(patient(20))
        order.append("slow")

    with anyio.move_on_after(0.05) as scope:
        await pool.run(slow)
    assert scope.cancelled_caught
    assert entered.is_set()
    with anyio.move_on_after(0.02) as scope:
        await pool.run(order.append, "too early")
    assert scope.cancelled_caught, "the only place is still taken"
    finish.set()
    await pool.run(order.append, "after")
    assert order == ["slow", "after"]


async def test_a_call_that_is_cancelled_before_it_begins_never_runs() -> None:
    pool = ThreadPool(1)
    finish = threading.Event()
    ran: list[int] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pool.run, finish.wait, 20)
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0.02):
            await pool.run(ran.append, 1)
        finish.set()
    await pool.run(lambda: None)
    assert ran == []


async def test_a_thread_that_was_left_may_still_use_the_loop() -> None:
    pool = ThreadPool(1)
    entered, go_on, left = threading.Event(), threading.Event(), threading.Event()
    lock = anyio.Lock()

    async def use() -> None:
        async with lock:
            await anyio.to_thread.run_sync(bool)

    def work() -> None:
        entered.set()
        go_on.wait(patient(30))
        try:
            anyio.from_thread.run(use)
        finally:
            left.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pool.run, work)
        await anyio.to_thread.run_sync(entered.wait)
        tasks.cancel_scope.cancel()
    go_on.set()
    with anyio.fail_after(patient(10)):
        await anyio.to_thread.run_sync(left.wait, abandon_on_cancel=True)
    assert not lock.locked()
