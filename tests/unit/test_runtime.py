"""Between definitions and a bridge: deadlines of the calls, times of the timers, what is announced."""

import asyncio
import time
from typing import Annotated, Any

import anyio
import pytest
from msgspec import Meta, Struct

from purista_fast import App, Context, Service
from purista_fast.arguments import encode_arguments
from purista_fast.runtime import function_added
from tests.patience import patient


class Reading(Struct):
    celsius: Annotated[float, Meta(ge=-273.15)]


service = Service("Thermo")


@service.command
async def store(ctx: Context, payload: Reading, *, site: str = "home") -> int:
    return 1


@service.command
async def optional(ctx: Context, payload: int = 5) -> int:
    return payload


def test_arguments_become_payload_and_parameter() -> None:
    assert encode_arguments(store, (Reading(1.0),), {"site": "attic"}) == (b'{"celsius":1.0}', b'{"site":"attic"}')
    assert encode_arguments(store, (), {"payload": Reading(1.0)}) == (b'{"celsius":1.0}', None)
    assert encode_arguments(optional, (), {}) == (None, None)


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((1, 2), {}, "Thermo/1/store takes one payload, not 2"),
        ((), {}, "Thermo/1/store needs a payload: `invoke(store, payload, …)`"),
        ((1,), {"sites": 1}, "has no parameter ['sites']; it has ['site']"),
        ((1,), {"payload": 1}, "has no parameter ['payload']"),
    ],
)
def test_arguments_that_do_not_fit(args: Any, kwargs: Any, words: str) -> None:
    with pytest.raises(TypeError) as caught:
        encode_arguments(store, args, kwargs)
    assert words in str(caught.value)


def test_what_is_announced_of_a_command() -> None:
    expose = function_added(store.signature)["expose"]
    reading = expose["inputPayload"]["$defs"]["Reading"]
    assert reading["properties"]["celsius"] == {"type": "number", "minimum": -273.15}
    assert expose["outputPayload"] == {"type": "integer"}
    assert expose["parameter"]["$defs"]["Parameter"]["required"] == []
    assert expose["contentTypeRequest"] == "application/json"
    assert expose["deprecated"] is False


@pytest.mark.anyio
async def test_a_timer_leaves_out_what_came_due_during_a_run() -> None:
    clock = Service("Clock")
    began: list[float] = []
    enough = anyio.Event()

    @clock.every(0.05)
    async def tick(ctx: Context) -> None:
        began.append(anyio.current_time())
        if len(began) == 1:
            await anyio.sleep(0.12)  # two more come due meanwhile
        if len(began) == 3:
            enough.set()

    async with App(clock).serve(bridge="memory://"):
        start = anyio.current_time()
        with anyio.fail_after(patient(10)):
            await enough.wait()
    assert began[0] - start >= 0.03
    assert began[1] - began[0] >= 0.12, "never two at the same time"
    assert began[2] - began[1] >= 0.02, "and nothing is made up for in a burst"


def test_a_timer_that_is_due_at_the_end_still_finds_the_bridge(caplog: pytest.LogCaptureFixture) -> None:
    clock, began = Service("Clock"), asyncio.Event()

    @clock.every(0.01)
    async def tick(ctx: Context) -> None:
        began.set()
        await asyncio.sleep(0.02)
        await ctx.emit("ticked")

    async def main() -> None:
        async with App(clock).serve(bridge="memory://"):
            await began.wait()
            # Both sleeps are over when the loop looks again, and this one goes first: the timer's can no longer be
            # cancelled, and the application stops before it runs on.
            asyncio.get_running_loop().call_soon(time.sleep, 0.03)
            await asyncio.sleep(0.005)

    asyncio.run(main())
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
