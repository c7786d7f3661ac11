"""What a handler sees of the message at hand."""

import logging

import pytest

from purista_fast import App, Client, Context, Service

pytestmark = pytest.mark.anyio
talker = Service("Talker")


@talker.command
async def talk(ctx: Context) -> str:
    ctx.logger.warning("said %s", "so", extra={"more": 1})
    return repr(ctx)


async def test_the_logger_is_bound_to_service_target_and_trace(caplog: pytest.LogCaptureFixture) -> None:
    async with App(talker).serve(bridge="memory://") as client:
        assert await client.acting(trace_id="t1").invoke(talk) == "<Context of Talker/1/talk, trace t1>"
    record = next(r for r in caplog.records if r.name == "purista_fast.service.Talker")
    assert record.getMessage() == "Talker/1/talk [t1] said so"
    assert record.levelno == logging.WARNING
    assert (record.service, record.trace_id, record.more) == ("Talker/1/talk", "t1", 1)  # type: ignore[attr-defined]


async def test_one_parameter_of_the_generic_is_enough() -> None:
    assert Context[int] is not None
    assert Context[int, str] is not None


async def test_a_trace_id_of_w3c_where_none_was_given() -> None:
    service = Service("Trace")

    @service.command
    async def trace(ctx: Context) -> list[str | None]:
        return [ctx.trace_id, ctx.message.trace_id, ctx.message.traceparent]

    async with App(service).serve(bridge="memory://") as client:
        assert isinstance(client, Client)
        trace_id, given, traceparent = await client.invoke(trace)
    assert given is None
    assert trace_id is not None
    assert traceparent is not None
    assert traceparent.split("-")[1] == trace_id
