"""Events: who gets them, in which order, and what becomes of failing handlers."""

import logging
from typing import Any

import anyio
import pytest

from purista_fast import Context, HandledError, PayloadError, Service, UnhandledError
from tests.contract.harness import Harness
from tests.contract.helpers import Gate, Inbox, Stored, doubled, eventually, numbered, reading_stored


@pytest.mark.anyio
class EventCases:
    async def test_every_subscription_gets_it(self, harness: Harness) -> None:
        inboxes: list[Inbox[Stored]] = [Inbox() for _ in range(4)]
        services = [Service("First"), Service("Second")]

        def add(service: Service, number: int) -> None:
            @service.subscription(reading_stored, name=f"on_{number}")
            async def on(ctx: Context, payload: Stored) -> None:
                inboxes[number].put(payload)

        for number in range(4):
            add(services[number % 2], number)
        async with harness.serve(*services) as client:
            await client.emit(reading_stored, Stored("a", 1))
            for inbox in inboxes:
                await inbox.wait(1)
        assert [inbox.items for inbox in inboxes] == [[Stored("a", 1)]] * 4, "each of them once"

    async def test_nobody_listens(self, harness: Harness) -> None:
        async with harness.serve(Service("Deaf")) as client:
            await client.emit(reading_stored, Stored("a", 1))
            await client.emit("never heard of", {"a": 1})

    async def test_in_the_order_in_which_they_were_emitted(self, harness: Harness) -> None:
        watch = Service("Watch")
        got: Inbox[int] = Inbox()

        @watch.subscription(numbered)
        async def on(ctx: Context, payload: int) -> None:
            if payload % 7 == 0:
                await anyio.sleep(0.001)  # an uneven handler
            got.put(payload)

        async with harness.serve(watch) as client:
            for number in range(300):
                await client.emit(numbered, number)
            assert await got.wait(300) == list(range(300))

    async def test_one_at_a_time_unless_told_otherwise(self, harness: Harness) -> None:
        watch = Service("Watch")
        single, several = Gate(), Gate()

        @watch.subscription(numbered)
        async def on(ctx: Context, payload: int) -> None:
            await single(payload)

        @watch.subscription(numbered, concurrency=4)
        async def on_many(ctx: Context, payload: int) -> None:
            await several(payload)

        async with harness.serve(watch) as client:
            for number in range(10):
                await client.emit(numbered, number)
            assert sorted(await several.entered.wait(4)) == [0, 1, 2, 3]
            await anyio.wait_all_tasks_blocked()
            assert len(several.entered.items) == 4
            assert single.entered.items == [0]
            single.open()
            several.open()
            assert await single.entered.wait(10) == list(range(10))
            assert sorted(await several.entered.wait(10)) == list(range(10))

    async def test_a_returned_value_becomes_an_event(self, harness: Harness) -> None:
        watch = Service("Watch")
        got: Inbox[Any] = Inbox()

        @watch.subscription(numbered, result_event=doubled)
        async def double(ctx: Context, payload: int) -> int:
            return payload * 2

        @watch.subscription(doubled)
        async def on(ctx: Context, payload: int) -> None:
            sender = ctx.message.sender
            got.put(
                (payload, sender.service_name, sender.service_target, bool(ctx.message.id and ctx.message.timestamp))
            )

        async with harness.serve(watch) as client:
            await client.emit(numbered, 21)
            assert await got.wait(1) == [(42, "Watch", "double", True)]

    async def test_a_success_event_is_told_and_a_failure_is_not(self, harness: Harness) -> None:
        thermo = Service("Thermo")
        got: Inbox[Stored] = Inbox()

        @thermo.command(success_event=reading_stored)
        async def store(ctx: Context, payload: int) -> Stored:
            if payload < 0:
                raise HandledError(400)
            if payload == 0:
                raise RuntimeError
            return Stored("a", payload)

        @thermo.subscription(reading_stored)
        async def on(ctx: Context, payload: Stored) -> None:
            got.put(payload)

        async with harness.serve(thermo) as client:
            for payload, error in [(-1, HandledError), (0, UnhandledError)]:
                with pytest.raises(error):
                    await client.invoke(store, payload)
            assert await client.invoke(store, 2) == Stored("a", 2)
            await got.wait(1)
        assert got.items == [Stored("a", 2)]

    async def test_not_shared_gets_it_as_well(self, harness: Harness) -> None:
        watch = Service("Watch")
        got: Inbox[str] = Inbox()

        @watch.subscription(numbered, shared=False)
        async def each(ctx: Context, payload: int) -> None:
            got.put("each")

        @watch.subscription(numbered, shared=False)
        async def each_too(ctx: Context, payload: int) -> None:
            got.put("each too")

        @watch.subscription(numbered)
        async def one(ctx: Context, payload: int) -> None:
            got.put("one")

        async with harness.serve(watch) as client:
            await client.emit(numbered, 1)
            await got.wait(3)
        assert sorted(got.items) == ["each", "each too", "one"]

    async def test_a_failing_handler_is_reported_and_the_next_event_goes_on(
        self, harness: Harness, caplog: pytest.LogCaptureFixture
    ) -> None:
        watch = Service("Watch")
        got: Inbox[int] = Inbox()
        reports: Inbox[Any] = Inbox()

        @watch.subscription(numbered)
        async def on(ctx: Context, payload: int) -> None:
            if payload % 2:
                raise RuntimeError("odd numbers are refused")
            got.put(payload)

        @watch.subscription(message_type="infoSubscriptionError")
        async def on_error(ctx: Context, payload: Any) -> None:
            reports.put((payload["eventName"], payload["error"], ctx.message.sender.service_target, ctx.tenant_id))
            raise RuntimeError("a failing report is not reported again")

        async with harness.serve(watch) as client:
            for number in range(4):
                await client.acting(tenant_id="t").emit(numbered, number)
            assert await got.wait(2) == [0, 2]
            await reports.wait(2)
        assert reports.items == [("numbered", "RuntimeError", "on", "t")] * 2
        failures = [r for r in caplog.records if r.levelno == logging.ERROR and "Watch/1/on failed" in r.getMessage()]
        assert len(failures) == 2
        assert "odd numbers are refused" in caplog.text

    async def test_a_payload_that_does_not_fit_is_a_failure_of_the_subscription(self, harness: Harness) -> None:
        watch = Service("Watch")
        got: Inbox[Stored] = Inbox()
        reports: Inbox[str] = Inbox()

        @watch.subscription(reading_stored)
        async def on(ctx: Context, payload: Stored) -> None:
            got.put(payload)

        @watch.subscription(message_type="infoSubscriptionError")
        async def on_error(ctx: Context, payload: Any) -> None:
            reports.put(payload["error"])

        async with harness.serve(watch) as client:
            await client.emit("readingStored", {"sensor": 1})
            await client.emit(reading_stored, Stored("a", 1))
            assert await got.wait(1) == [Stored("a", 1)]
            assert await reports.wait(1) == ["HandledError"]

    async def test_what_does_not_fit_the_event_is_not_emitted(self, harness: Harness) -> None:
        async with harness.serve(Service("Deaf")) as client:
            with pytest.raises(PayloadError) as caught:
                await client.emit(reading_stored, {"sensor": 1})  # type: ignore[misc]
            assert caught.value.problems == [
                {"message": "Expected `str`, got `int`", "path": ["sensor"]},
                {"message": "Required", "path": ["count"]},
            ]
            with pytest.raises(PayloadError, match="no JSON"):
                await client.emit("anything", object())

    async def test_many_emitters_at_the_same_time(self, harness: Harness) -> None:
        watch = Service("Watch")
        got: Inbox[int] = Inbox()

        @watch.subscription(numbered)
        async def on(ctx: Context, payload: int) -> None:
            got.put(payload)

        async with harness.serve(watch) as client:

            async def emit_from(first: int) -> None:
                for number in range(first, first + 25):
                    await client.emit(numbered, number)

            async with anyio.create_task_group() as tasks:
                for first in range(0, 500, 25):
                    tasks.start_soon(emit_from, first)
            await got.wait(500)
        assert sorted(got.items) == list(range(500))
        for first in range(0, 500, 25):
            mine = [number for number in got.items if first <= number < first + 25]
            assert mine == sorted(mine), "the order of one emitter"

    async def test_the_counters(self, harness: Harness) -> None:
        watch = Service("Watch")

        @watch.subscription(numbered)
        async def on(ctx: Context, payload: int) -> None: ...

        async with harness.serve(watch) as client:
            await client.emit(numbered, 1)
            await eventually(lambda: client.statistics()["subscriptions"]["Watch/1/on"]["handled"] == 1)
            assert client.statistics()["subscriptions"]["Watch/1/on"]["waiting"] == 0
