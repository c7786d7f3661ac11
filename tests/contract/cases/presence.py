"""Who is alive."""

import anyio
import pytest

from tests.contract.cases.lifecycle import ping_service
from tests.contract.harness import Harness


@pytest.mark.anyio
class AliveCases:
    async def test_an_application_is_alive_while_it_runs(self, harness: Harness) -> None:
        async with harness.serve(ping_service("A"), ping_service("B")) as client:
            before = set(client.statistics()["subscriptions"])
            (found,) = await client.alive(0.5)
            assert found.instance_id == client.instance_id
            assert found.services == [("A", "1"), ("B", "1")]
            assert found.since is not None
            assert found.since < found.last_seen
            assert set(client.statistics()["subscriptions"]) == before

    async def test_whoever_asks_in_a_burst_gets_an_answer(self, harness: Harness) -> None:
        async with harness.serve(ping_service("A")) as client:
            counts: list[int] = []

            async def ask() -> None:
                counts.append(len(await client.alive(1.0)))

            async with anyio.create_task_group() as tasks:
                for _ in range(10):
                    tasks.start_soon(ask)
            assert counts == [1] * 10
