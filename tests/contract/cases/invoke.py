"""Invocations that succeed."""

from dataclasses import asdict
from typing import Any

import anyio
import pytest

from purista_fast import Context, Service, remote
from tests.contract.harness import Harness
from tests.contract.helpers import Options, Point, Reading, Stored

thermo = Service("Thermo")


@thermo.command
async def store(ctx: Context, payload: Reading, *, site: str = "home", copies: int = 1) -> Stored:
    return Stored(f"{site}/{payload.sensor}", copies)


@thermo.command
async def ping(ctx: Context) -> str:
    return "pong"


@thermo.command
async def echo(ctx: Context, payload):  # type: ignore[no-untyped-def]  # a missing annotation is any JSON value
    return payload


@thermo.command
async def move(ctx: Context, payload: Point, *, by: Options) -> Point:
    return Point(payload.x + by["speed"], payload.y)


@thermo.command
async def maybe(ctx: Context, payload: int | None = 7) -> int | None:
    return payload


@thermo.command
async def required(ctx: Context, *, unit: str) -> str:
    return unit


@thermo.command(name="toFahrenheit")
async def to_fahrenheit(ctx: Context, payload: float) -> float:
    return payload * 9 / 5 + 32


@thermo.command
async def nothing(ctx: Context, payload: int) -> None:
    return None


@remote("Thermo", "1", name="store")
async def store_elsewhere(ctx: Context, payload: dict[str, Any], *, site: str = "remote") -> dict[str, Any]: ...  # type: ignore[empty-body]


@remote("Thermo", "1", name="maybe")
async def maybe_elsewhere(ctx: Context) -> Any: ...


@pytest.mark.anyio
class InvokeCases:
    async def test_gives_the_result_in_its_type(self, harness: Harness) -> None:
        async with harness.serve(thermo) as client:
            assert await client.invoke(store, Reading("a", 21.5)) == Stored("home/a", 1)

    async def test_parameters_and_their_defaults(self, harness: Harness) -> None:
        async with harness.serve(thermo) as client:
            assert await client.invoke(store, Reading("a", 1.0), site="attic") == Stored("attic/a", 1)
            assert await client.invoke(store, Reading("a", 1.0), copies=3) == Stored("home/a", 3)
            assert await client.invoke(required, unit="K") == "K"
            with pytest.raises(TypeError, match="no parameter"):
                await client.invoke(store, Reading("a", 1.0), attic=1)  # type: ignore[call-arg]

    async def test_the_payload_by_its_name(self, harness: Harness) -> None:
        async with harness.serve(thermo) as client:
            assert await client.invoke(store, payload=Reading("a", 1.0)) == Stored("home/a", 1)

    async def test_dataclasses_and_typed_dicts(self, harness: Harness) -> None:
        async with harness.serve(thermo) as client:
            moved = await client.invoke(move, Point(1, 2), by=Options(speed=3))
            assert asdict(moved) == {"x": 4, "y": 2}

    async def test_without_payload(self, harness: Harness) -> None:
        async with harness.serve(thermo) as client:
            assert await client.invoke(ping) == "pong"
            with pytest.raises(TypeError, match="no payload"):
                await client.invoke(ping, 1)  # type: ignore[call-arg]
            with pytest.raises(TypeError, match="needs a payload"):
                await client.invoke(store)  # type: ignore[call-arg]

    async def test_none_is_a_payload_and_none_at_all_is_the_default(self, harness: Harness) -> None:
        async with harness.serve(thermo) as client:
            assert await client.invoke(maybe, None) is None
            assert await client.invoke(maybe, 3) == 3
            assert await client.invoke(maybe) == 7
            assert await client.invoke(maybe_elsewhere) == 7
            assert await client.invoke(echo, None) is None
            result: Any = client.invoke(nothing, 1)
            assert await result is None

    @pytest.mark.parametrize(
        "value",
        [
            0,
            -1,
            2**53,
            1.5,
            "",
            "ünï\u0000\U0001f600",
            True,
            [],
            {},
            [1, [2, {"a": None}]],
            {"payload": {"parameter": {}}},
        ],
        ids=repr,
    )
    async def test_any_json_value_without_an_annotation(self, harness: Harness, value: Any) -> None:
        async with harness.serve(thermo) as client:
            found = await client.invoke(echo, value)
            assert (type(found), found) == (type(value), value)

    async def test_a_large_payload(self, harness: Harness) -> None:
        async with harness.serve(thermo) as client:
            large = "x" * 1_000_000
            assert await client.invoke(echo, large) == large

    async def test_the_name_on_the_wire(self, harness: Harness) -> None:
        async with harness.serve(thermo) as client:
            assert await client.invoke(to_fahrenheit, 100.0) == 212.0

    async def test_a_remote_declaration_reaches_it(self, harness: Harness) -> None:
        async with harness.serve(thermo) as client:
            found = await client.invoke(store_elsewhere, {"sensor": "a", "celsius": 1}, site="far")
            assert found == {"sensor": "far/a", "count": 1}

    async def test_this_instance_by_its_id(self, harness: Harness) -> None:
        async with harness.serve(thermo) as client:
            here = ping.using(instance_id=client.instance_id)
            assert await client.invoke(here) == "pong"

    async def test_another_instance_does_not_answer(self, harness: Harness) -> None:
        async with harness.serve(thermo) as client:
            with pytest.raises(Exception, match=str(harness.unknown_command)) as caught:
                await client.invoke(ping.using(instance_id="somebody_else", timeout=0.2))
            assert caught.value.status == harness.unknown_command  # type: ignore[attr-defined]

    async def test_from_handlers_to_any_depth(self, harness: Harness) -> None:
        nest = Service("Nest")

        @nest.command
        async def depth(ctx: Context, payload: int) -> int:
            return 1 + await ctx.invoke(depth, payload - 1) if payload else 0

        async with harness.serve(nest) as client:
            assert await client.invoke(depth, 50) == 50

    async def test_a_thousand_at_the_same_time(self, harness: Harness) -> None:
        crowd = Service("Crowd")
        arrived = 0
        all_there = anyio.Event()

        @crowd.command
        async def meet(ctx: Context, payload: int) -> int:
            nonlocal arrived
            arrived += 1
            if arrived == 1000:
                all_there.set()
            await all_there.wait()
            return payload * 2

        found: dict[int, int] = {}

        async with harness.serve(crowd) as client, anyio.create_task_group() as tasks:

            async def call(number: int) -> None:
                found[number] = await client.invoke(meet, number)

            for number in range(1000):
                tasks.start_soon(call, number)
        assert found == {number: number * 2 for number in range(1000)}
