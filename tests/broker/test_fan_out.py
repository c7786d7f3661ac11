"""One command on many instances."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from purista_fast import (
    Client,
    Context,
    DefinitionError,
    HandledError,
    Service,
    StatusCode,
    UnhandledError,
    each,
    testing,
)
from tests.broker.helpers import Bench

pytestmark = pytest.mark.anyio


def watch(name: str, refuses: bool = False) -> Service:
    service = Service("Watch")

    @service.command
    async def set_limit(ctx: Context, payload: int, *, unit: str = "C") -> str:
        if refuses:
            raise HandledError(StatusCode.CONFLICT, "not now")
        return f"{name} {payload} {unit}"

    return service


COMMAND: Any = watch("caller").commands["set_limit"]


async def test_all_that_serve_it_are_called(bench: Bench) -> None:
    other = Service("Other")

    @other.command
    async def ping(ctx: Context) -> None: ...

    async with (
        bench.serve(watch("a"), instance_id="a"),
        bench.serve(watch("b", refuses=True), instance_id="b"),
        bench.serve(other, instance_id="c"),
        bench.connect() as client,
    ):
        found = await each(client).invoke(COMMAND, 5, unit="F")
        assert sorted(found) == ["a", "b"]
        assert found["a"] == "a 5 F"
        assert isinstance(found["b"], HandledError)
        assert found["b"].status == 409
        named = await each(client, "a", "d").invoke(COMMAND.using(timeout=1.0), 6)
        assert named["a"] == "a 6 C"
        assert isinstance(named["d"], UnhandledError)
        assert named["d"].status == 504


async def test_a_handler_calls_all(bench: Bench) -> None:
    fleet = Service("Fleet")

    @fleet.command
    async def set_all(ctx: Context, payload: int) -> dict[str, Any]:
        return dict(await each(ctx, wait=0.5).invoke(COMMAND, payload))

    async with bench.serve(watch("a"), instance_id="a"), bench.serve(fleet, instance_id="cloud") as client:
        assert await client.invoke(set_all, 7) == {"a": "a 7 C"}


async def test_not_more_than_so_many_at_once(bench: Bench) -> None:
    running = most = 0
    service = Service("Watch")

    @service.command
    async def set_limit(ctx: Context, payload: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.sleep(0.02)
        running -= 1

    async with bench.serve(service, instance_id="a"), bench.connect() as client:
        here = client.invoke

        class Redirected(Client):
            """Calls one instance whichever is meant."""

            def invoke(self, command: Any, /, *args: Any, **kwargs: Any) -> Any:
                return here(command.using(instance_id="a"), *args, **kwargs)

        redirected = Redirected(client._runtime, client._scope)
        names = [f"i{number}" for number in range(20)]
        found = await each(redirected, *names, at_once=4).invoke(set_limit, 1)
        assert found == dict.fromkeys(names)
        assert most == 4


async def test_a_mistake_is_raised_as_it_is(bench: Bench) -> None:
    async with bench.connect() as client:
        with pytest.raises(TypeError):
            await each(client, "a", "b").invoke(COMMAND, 1, nonsense=True)


async def test_in_a_test_the_instances_are_named() -> None:
    with pytest.raises(DefinitionError, match="name the instances"):
        await each(testing.context()).invoke(COMMAND, 1)
