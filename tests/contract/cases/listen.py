"""Listening from outside of services."""

import logging

import anyio
import pytest

from purista_fast import Context, Service
from tests.contract.cases.lifecycle import ping_service
from tests.contract.harness import Harness
from tests.contract.helpers import Inbox, Stored, eventually, numbered, reading_stored


@pytest.mark.anyio
class ListenCases:
    async def test_by_event_by_type_and_all(self, harness: Harness) -> None:
        service = ping_service("Ping")
        async with (
            harness.serve(service) as client,
            client.listen(reading_stored) as by_event,
            client.listen("readingStored") as by_name,
            client.listen(message_type="commandSuccessResponse") as by_type,
            client.listen() as everything,
        ):
            await client.invoke(service.commands["ping"])
            await client.emit(numbered, 1)
            await client.emit(reading_stored, Stored("a", 1))
            for messages in (by_event, by_name):
                message = await anext(messages)
                assert (message.event_name, message.payload) == ("readingStored", b'{"sensor":"a","count":1}')
            assert (await anext(by_type)).payload == b'"Ping"'
            found = [(await anext(everything)).message_type for _ in range(4)]
            assert sorted(found) == ["command", "commandSuccessResponse", "customMessage", "customMessage"]

    async def test_begins_and_ends_with_its_block(self, harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
        async with harness.serve(ping_service("Ping")) as client:
            await client.emit(numbered, 1)
            async with client.listen(numbered) as messages:
                await client.emit(numbered, 2)
                assert (await anext(messages)).payload == b"2"
            before = set(client.statistics()["subscriptions"])
            async with client.listen(numbered):
                for number in range(10):
                    await client.emit(numbered, number)  # nobody reads them
                await anyio.wait_all_tasks_blocked()
            await client.emit(numbered, 3)
            await eventually(lambda: set(client.statistics()["subscriptions"]) == before)
        assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []

    async def test_a_slow_reader_holds_nobody_up(self, harness: Harness) -> None:
        watch = Service("Watch")
        got: Inbox[int] = Inbox()

        @watch.subscription(numbered)
        async def on(ctx: Context, payload: int) -> None:
            got.put(payload)

        async with harness.serve(watch) as client, client.listen(numbered, buffer=2) as messages:
            for number in range(200):
                await client.emit(numbered, number)
            assert await got.wait(200) == list(range(200))
            numbers = [-1]
            while numbers[-1] != 199:
                numbers.append(int((await anext(messages)).payload or b""))
            assert numbers == sorted(numbers)
