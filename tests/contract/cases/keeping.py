"""What a bridge with a disk promises beyond the others; see ``tests/broker`` for what can happen to it."""

import anyio
import pytest

from purista_fast import Context, Event, Retry, Service
from tests.contract.harness import Harness
from tests.contract.helpers import Inbox, eventually

kept = Event("kept", int, durability="disk")


@pytest.mark.anyio
class KeepingCases:
    async def test_an_event_that_has_to_be_on_disk_arrives_once_and_in_order(self, harness: Harness) -> None:
        service = Service("Keeper")
        got: Inbox[int] = Inbox()

        @service.subscription(kept)
        async def on(ctx: Context, payload: int) -> None:
            got.put(payload)

        async with harness.serve(service) as client:
            for number in range(50):
                await client.emit(kept, number)
            assert client.statistics()["outbox"]["messages"] == 50
            assert await got.wait(50) == list(range(50))

    async def test_many_emit_at_the_same_time(self, harness: Harness) -> None:
        service = Service("Keeper")
        got: Inbox[int] = Inbox()

        @service.subscription(kept)
        async def on(ctx: Context, payload: int) -> None:
            got.put(payload)

        async with harness.serve(service) as client, anyio.create_task_group() as tasks:
            for number in range(200):
                tasks.start_soon(client.emit, kept, number)
            assert sorted(await got.wait(200)) == list(range(200))

    async def test_a_command_with_a_success_event_that_has_to_be_on_disk(self, harness: Harness) -> None:
        service = Service("Keeper")
        got: Inbox[int] = Inbox()

        @service.command(success_event=kept)
        async def make(ctx: Context, payload: int) -> int:
            return payload

        @service.subscription(kept)
        async def on(ctx: Context, payload: int) -> None:
            got.put(payload)

        async with harness.serve(service) as client:
            assert await client.invoke(make, 7) == 7
            assert await got.wait(1) == [7]
            assert client.statistics()["outbox"]["messages"] == 1

    async def test_a_failing_handler_is_tried_again(self, harness: Harness) -> None:
        service = Service("Keeper")
        runs: Inbox[int] = Inbox()

        @service.subscription(kept, retry=Retry(attempts=3, base=0.02, maximum=0.02), deduplicate=True)
        async def on(ctx: Context, payload: int) -> None:
            runs.put(payload)
            raise RuntimeError("not today")

        async with harness.serve(service) as client:
            await client.emit(kept, 1)
            assert await runs.wait(3) == [1, 1, 1]
            await eventually(lambda: client.statistics()["dead_letters"]["messages"] == 1)
            await eventually(lambda: client.statistics()["unacknowledged"] == 0)
