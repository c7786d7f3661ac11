"""What mypy and pyright make of the public API: each line here must type as it says. Never run."""

from collections.abc import Mapping
from typing import Any, assert_type

from msgspec import Struct

from purista_fast import (
    App,
    Batch,
    Client,
    Command,
    Context,
    Event,
    HandledError,
    Message,
    Service,
    StatusCode,
    Subscription,
    connect,
    remote,
    testing,
)
from purista_fast.stores.secrets import Secret


class Reading(Struct, frozen=True):
    sensor: str
    celsius: float


class Stored(Struct, frozen=True):
    sensor: str
    count: int


class Config(Struct):
    limit: float = 30.0


class Bus:
    def read(self) -> int:
        return 1


reading_stored = Event("readingStored", Stored)
names = Event("names", list[str])
anything = Event("anything")
nothing = Event("nothing", None)
measured = Event("measured", float)
thermo = Service("Thermo", config=Config)


async def check(ctx: Context, payload: Any, parameter: Mapping[str, Any]) -> None:
    raise HandledError(StatusCode.FORBIDDEN, "not you", {"payload": payload, "by": parameter})


@thermo.command
async def store(ctx: Context, payload: Reading, *, site: str = "home") -> Stored:
    return Stored(f"{site}/{payload.sensor}", 1)


@thermo.command(success_event=reading_stored, before=[check], invokes=[store], emits=[reading_stored, "named"])
async def store_again(ctx: Context[Config, Bus], payload: Reading) -> Stored:
    assert_type(ctx.config, Config)
    assert_type(ctx.resources, Bus)
    assert_type(ctx.config.limit, float)
    assert_type(ctx.message, Message)
    assert_type(ctx.tenant_id, str | None)
    return await ctx.invoke(store, payload, site="attic")


@thermo.command
def plain(ctx: Context[Config], payload: int, *, times: int = 1) -> list[int]:
    assert_type(ctx.config, Config)
    return [payload] * times


@thermo.command(name="plainToo")
def plain_too(ctx: Context) -> str:
    return "here"


@thermo.subscription(reading_stored, result_event=names, concurrency=2, overflow="drop_oldest", needs=["durable"])
async def watch(ctx: Context, payload: Stored) -> list[str]:
    await ctx.emit(names, [payload.sensor])
    return [payload.sensor]


@thermo.subscription(reading_stored, batch=Batch(100, within=5.0))
async def together(ctx: Context, payloads: list[Stored]) -> None:
    assert_type(ctx.messages, tuple[Message, ...])


@thermo.subscription(message_type="infoServiceReady", sender={"service": "Thermo"}, shared=False)
def watch_plainly(ctx: Context) -> None: ...


@thermo.every(0.5)
async def tick(ctx: Context) -> None:
    assert_type(await ctx.invoke(plain_too), str)


@remote("User", "1", name="signUp")
async def sign_up(ctx: Context, payload: str, *, lang: str = "en") -> dict[str, int]: ...  # type: ignore[empty-body]


async def calls(ctx: Context, client: Client) -> None:
    reading = Reading("a", 21.5)
    assert_type(await ctx.invoke(store, reading), Stored)
    assert_type(await ctx.invoke(store, reading, site="attic"), Stored)
    assert_type(await ctx.invoke(store, payload=reading), Stored)
    assert_type(await ctx.invoke(store.using(timeout=2.0, instance_id="i", event_name="e"), reading, site="x"), Stored)
    assert_type(await ctx.invoke(plain, 1, times=2), list[int])
    assert_type(await ctx.invoke(plain_too), str)
    assert_type(await ctx.invoke(sign_up, "ada", lang="de"), dict[str, int])
    assert_type(await client.invoke(store_again, reading), Stored)
    assert_type(await client.acting(tenant_id="t").invoke(plain.using(), 1), list[int])
    assert_type(await ctx.emit(reading_stored, Stored("a", 1)), None)
    assert_type(await client.emit("named", {"any": "thing"}), None)
    assert_type(await client.emit(anything, 3), None)
    await client.emit("named")
    await client.emit(anything)
    await client.emit(nothing)
    await ctx.emit(measured, 1)
    await ctx.emit(names, [])


async def definitions() -> None:
    assert_type(reading_stored, Event[Stored])
    assert_type(names, Event[list[str]])
    typed: Command[..., Stored] = store
    listening: Subscription[..., list[str]] = watch
    print(typed.label, listening.label)
    assert_type(await store(testing.context(), Reading("a", 1.0), site="x"), Stored)
    assert_type(await plain(testing.context(), 1), list[int])
    assert_type(await watch(testing.context(), Stored("a", 1)), list[str])


async def running() -> None:
    app = App(thermo, resources=Bus(), name="greenhouse")
    async with app.serve(bridge="memory://") as client:
        assert_type(client, Client)
        async with client.listen(reading_stored) as messages:
            async for message in messages:
                assert_type(message, Message)
    async with connect("mqtt://localhost", name="Tool") as remote_client:
        assert_type(await remote_client.invoke(sign_up, "ada"), dict[str, int])


async def stores(ctx: Context, client: Client) -> None:
    assert_type(await ctx.states.get("a", type=Reading), Reading | None)
    assert_type(await ctx.states.get("a", type=int, default=0), int)
    assert_type(await ctx.states.get("a", type=int, default=""), int | str)
    assert_type(await ctx.states.get("a"), Any)
    assert_type(await ctx.states.increment("a"), int | float)
    assert_type(await ctx.states.update("a", len, default=""), int)
    assert_type(await ctx.states.compare_and_set("a", 1, Reading("a", 1.0)), bool)
    assert_type(await client.states.of("Thermo").remove("a"), bool)
    assert_type(await ctx.configs.get("a", type=float), float | None)
    assert_type(await ctx.secrets.get("a"), Secret | None)


async def timers() -> None:
    @thermo.every(lambda bus: bus.pace, jitter=0.1, missed="run_once")
    async def often(ctx: Context) -> None: ...

    @thermo.cron("0 3 * * *", timezone="Europe/Berlin")
    def nightly(ctx: Context) -> int:
        return 1

    await often(testing.context())
    await nightly(testing.context())
