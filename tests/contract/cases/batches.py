"""Messages that are handled together: who is in a batch, when it is handled, and what becomes of one that fails."""

import logging
from typing import Any

import anyio
import pytest

from purista_fast import Batch, Client, Context, Event, HandledError, Service
from tests.contract.harness import Harness
from tests.contract.helpers import Gate, Inbox, Stored, doubled, eventually, numbered, reading_stored
from tests.patience import patient

LONG = 1000.0
"""Seconds that no test waits for."""
PATIENT: dict[str, dict[str, float]] = {"retries": {"ack_within": 2 * LONG}}


def seen(client: Client, label: str) -> int:
    """How many messages a subscription has taken so far."""
    counts = client.statistics()["subscriptions"][label]
    return int(counts["running"] + counts["handled"])


@pytest.mark.anyio
class BatchCases:
    async def test_a_batch_is_full_or_its_time_is_over(self, harness: Harness) -> None:
        watch = Service("Watch")
        got: Inbox[list[int]] = Inbox()

        @watch.subscription(numbered, batch=Batch(10, within=0.3))
        async def on(ctx: Context, payloads: list[int]) -> None:
            got.put(payloads)

        async with harness.serve(watch, **PATIENT) as client:
            for number in range(25):
                await client.emit(numbered, number)
            await eventually(lambda: sum(map(len, got.items)) == 25)
            assert [number for batch in got.items for number in batch] == list(range(25)), "in order"
            assert max(map(len, got.items)) <= 10
            await eventually(lambda: client.statistics()["subscriptions"]["Watch/1/on"]["handled"] == 25)

    async def test_a_full_batch_waits_for_nothing(self, harness: Harness) -> None:
        watch = Service("Watch")
        got: Inbox[list[int]] = Inbox()

        @watch.subscription(numbered, batch=Batch(5, within=LONG))
        async def on(ctx: Context, payloads: list[int]) -> None:
            got.put(payloads)

        with anyio.fail_after(patient(20)):
            async with harness.serve(watch, **PATIENT) as client:
                for number in range(10):
                    await client.emit(numbered, number)
                    await eventually(lambda number=number: seen(client, "Watch/1/on") == number + 1)  # type: ignore[misc]
                assert await got.wait(2) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]

    async def test_the_end_waits_for_no_more_and_handles_what_came(self, harness: Harness) -> None:
        watch = Service("Watch")
        got: Inbox[list[int]] = Inbox()

        @watch.subscription(numbered, batch=Batch(50, within=LONG))
        async def on(ctx: Context, payloads: list[int]) -> None:
            got.put(payloads)

        with anyio.fail_after(patient(20)):
            async with harness.serve(watch, **PATIENT) as client:
                for number in range(3):
                    await client.emit(numbered, number)
                await eventually(lambda: client.statistics()["subscriptions"]["Watch/1/on"]["running"] == 3)
        assert got.items == [[0, 1, 2]]

    async def test_messages_trace_principal_and_tenant(self, harness: Harness) -> None:
        watch = Service("Watch")
        got: Inbox[Any] = Inbox()
        told: Inbox[Any] = Inbox()

        @watch.subscription(numbered, batch=Batch(2, within=LONG))
        async def on(ctx: Context, payloads: list[int]) -> None:
            tenants = [message.tenant_id for message in ctx.messages]
            got.put((tenants, ctx.tenant_id, ctx.principal_id, ctx.message.id == ctx.messages[0].id, len(ctx.trace_id)))
            await ctx.emit(doubled, sum(payloads))

        @watch.subscription(doubled)
        async def tell(ctx: Context, payload: int) -> None:
            assert ctx.messages == (ctx.message,)
            told.put((payload, ctx.tenant_id, ctx.principal_id))

        async with harness.serve(watch, **PATIENT) as client:
            for tenant in ("a", "a", "a", "b"):
                await client.acting(tenant_id=tenant, principal_id="p").emit(numbered, 1)
            assert await got.wait(2) == [
                (["a", "a"], "a", "p", True, 32),
                (["a", "b"], None, "p", True, 32),
            ]
            assert await told.wait(2) == [(2, "a", "p"), (2, None, "p")]

    async def test_what_does_not_fit_fails_alone(self, harness: Harness) -> None:
        watch = Service("Watch")
        got: Inbox[list[Stored]] = Inbox()
        reports: Inbox[Any] = Inbox()

        @watch.subscription(reading_stored, batch=Batch(2, within=0.3))
        async def on(ctx: Context, payloads: list[Stored]) -> None:
            assert [message.event_name for message in ctx.messages] == ["readingStored"] * len(payloads)
            got.put(payloads)

        @watch.subscription(message_type="infoSubscriptionError")
        async def on_error(ctx: Context, payload: Any) -> None:
            reports.put((payload["eventName"], payload["error"], ctx.message.sender.service_target))

        async with harness.serve(watch, **PATIENT) as client:
            await client.emit("readingStored", {"sensor": 1})
            await client.emit(reading_stored, Stored("a", 1))
            await client.emit(reading_stored, Stored("a", 2))
            await eventually(
                lambda: [item for batch in got.items for item in batch] == [Stored("a", 1), Stored("a", 2)]
            )
            assert await reports.wait(1) == [("readingStored", "HandledError", "on")]

    async def test_a_failing_batch_is_logged_once_and_reported_for_each(
        self, harness: Harness, caplog: pytest.LogCaptureFixture
    ) -> None:
        watch = Service("Watch")
        got: Inbox[list[int]] = Inbox()
        reports: Inbox[str] = Inbox()

        @watch.subscription(numbered, batch=Batch(3, within=LONG))
        async def on(ctx: Context, payloads: list[int]) -> None:
            if 0 in payloads:
                error = HandledError(400, "no zero")
                error.is_final = True
                raise error
            got.put(payloads)

        @watch.subscription(message_type="infoSubscriptionError")
        async def on_error(ctx: Context, payload: Any) -> None:
            reports.put(payload["messageId"])

        async with harness.serve(watch, **PATIENT) as client:
            for number in range(6):
                await client.emit(numbered, number)
            assert await got.wait(1) == [[3, 4, 5]], "the next batch goes on"
            assert len(set(await reports.wait(3))) == 3
        failures = [r for r in caplog.records if r.levelno == logging.ERROR and "Watch/1/on failed" in r.getMessage()]
        assert len(failures) == 1
        assert "the 2 others of its batch" in failures[0].getMessage()

    async def test_guards_and_the_result_event_are_for_the_batch(self, harness: Harness) -> None:
        watch = Service("Watch")
        guarded: list[Any] = []
        got: Inbox[int] = Inbox()
        total = Event("total", int)

        async def guard(ctx: Context, payload: Any, parameter: Any) -> None:
            guarded.append(payload)

        @watch.subscription(numbered, batch=Batch(4, within=LONG), before=[guard], result_event=total)
        def on(ctx: Context, payloads: list[int]) -> int:
            return sum(payloads)

        @watch.subscription(total)
        async def on_total(ctx: Context, payload: int) -> None:
            got.put(payload)

        async with harness.serve(watch, **PATIENT) as client:
            for number in range(4):
                await client.emit(numbered, number)
            assert await got.wait(1) == [6]
        assert guarded == [[0, 1, 2, 3]]

    async def test_others_are_not_held_up(self, harness: Harness) -> None:
        watch = Service("Watch")
        gate = Gate()
        got: Inbox[int] = Inbox()

        @watch.subscription(numbered, batch=Batch(3, within=LONG))
        async def on(ctx: Context, payloads: list[int]) -> None:
            await gate(payloads)

        @watch.subscription(numbered)
        async def each(ctx: Context, payload: int) -> None:
            got.put(payload)

        async with harness.serve(watch, **PATIENT) as client:
            for number in range(6):
                await client.emit(numbered, number)
            assert await got.wait(6) == list(range(6))
            assert await gate.entered.wait(1) == [[0, 1, 2]]
            gate.open()
            assert await gate.entered.wait(2) == [[0, 1, 2], [3, 4, 5]]
