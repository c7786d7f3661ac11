"""Plain ``def`` handlers: in a bounded number of threads, beside the event loop."""

import threading
import time
from typing import Any

import anyio
import pytest
from anyio import from_thread

from purista_fast import Context, HandledError, Service, UnhandledError
from tests.contract.harness import Harness
from tests.contract.helpers import Inbox, numbered
from tests.patience import patient


@pytest.mark.anyio
class ThreadCases:
    async def test_runs_in_a_thread_and_answers(self, harness: Harness) -> None:
        serial = Service("Serial")

        @serial.command
        def read(ctx: Context, payload: int, *, scale: int = 1) -> list[Any]:
            return [payload * scale, threading.current_thread() is threading.main_thread(), ctx.tenant_id]

        async with harness.serve(serial) as client:
            assert await client.acting(tenant_id="t").invoke(read, 2, scale=3) == [6, False, "t"]

    async def test_its_errors_are_those_of_any_handler(self, harness: Harness) -> None:
        serial = Service("Serial")

        @serial.command
        def read(ctx: Context, payload: bool) -> None:
            raise HandledError(404, "no such port") if payload else RuntimeError("the cable is loose")

        async with harness.serve(serial) as client:
            with pytest.raises(HandledError) as handled:
                await client.invoke(read, True)
            assert (handled.value.status, handled.value.message) == (404, "no such port")
            with pytest.raises(UnhandledError) as crashed:
                await client.invoke(read, False)
            assert "cable" not in str(crashed.value)

    async def test_never_more_threads_than_allowed(self, harness: Harness) -> None:
        serial = Service("Serial")
        lock = threading.Lock()
        both = threading.Barrier(2)
        running = most = 0

        @serial.command
        def read(ctx: Context) -> None:
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            both.wait(timeout=patient(20))  # passes only two by two
            time.sleep(0.005)  # the work itself
            with lock:
                running -= 1

        async with harness.serve(serial, app={"threads": 2}) as client, anyio.create_task_group() as tasks:

            async def call() -> None:
                await client.invoke(read)

            for _ in range(10):
                tasks.start_soon(call)
        assert most == 2

    async def test_the_loop_goes_on_meanwhile(self, harness: Harness) -> None:
        serial = Service("Serial")
        finish = threading.Event()

        @serial.command
        def read(ctx: Context) -> bool:
            return finish.wait(patient(20))

        @serial.command
        async def release(ctx: Context) -> None:
            finish.set()

        async with harness.serve(serial) as client, anyio.create_task_group() as tasks:

            async def call() -> None:
                assert await client.invoke(read)

            tasks.start_soon(call)
            await client.invoke(release)

    async def test_a_plain_subscription(self, harness: Harness) -> None:
        serial = Service("Serial")
        main = threading.get_ident()
        got: Inbox[Any] = Inbox()

        @serial.subscription(numbered, result_event=None)
        def write(ctx: Context, payload: int) -> None:
            from_thread.run_sync(got.put, (payload, threading.get_ident() != main))

        async with harness.serve(serial) as client:
            await client.emit(numbered, 1)
            await client.emit(numbered, 2)
            assert await got.wait(2) == [(1, True), (2, True)]
