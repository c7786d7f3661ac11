"""Mistakes that mypy and pyright must find: one in each line marked `# wrong`, and none elsewhere. Never run."""

from msgspec import Struct

from purista_fast import Context, Event, Service, remote, testing


class Reading(Struct, frozen=True):
    celsius: float


class Config(Struct):
    limit: float = 30.0


reading_taken = Event("readingTaken", Reading)
names = Event("names", list[str])
thermo = Service("Thermo")


@thermo.command
async def store(ctx: Context, payload: Reading, *, site: str = "home") -> int:
    return 1


@thermo.command
def plain(ctx: Context, payload: int) -> str:
    return str(payload)


@thermo.command
async def ping(ctx: Context) -> str:
    return "pong"


@thermo.subscription(reading_taken)
async def watch(ctx: Context, payload: Reading) -> None: ...


@remote("User", "1")
async def sign_up(ctx: Context, payload: str, *, lang: str = "en") -> dict[str, int]: ...  # type: ignore[empty-body]


async def mistakes(ctx: Context[Config, dict[str, int]]) -> None:
    reading = Reading(1.0)
    await ctx.invoke(store, "text")  # wrong
    await ctx.invoke(store)  # wrong
    await ctx.invoke(store, reading, reading)  # wrong
    await ctx.invoke(store, reading, place="attic")  # wrong
    await ctx.invoke(store, reading, site=1)  # wrong
    await ctx.invoke(store, reading, timeout=2.0)  # wrong
    await ctx.invoke(store.using(timeout=2.0), reading, site=1)  # wrong
    await ctx.invoke(store.using(retries=2), reading)  # wrong
    await ctx.invoke(plain, "text")  # wrong
    await ctx.invoke(ping, 1)  # wrong
    await ctx.invoke(sign_up, "ada", language="de")  # wrong
    await ctx.invoke(watch, reading)  # wrong
    await store(testing.context(), "text")  # wrong
    await ctx.emit(reading_taken, "text")  # wrong
    await ctx.emit(reading_taken)  # wrong
    await ctx.emit(names, [1])  # wrong
    await ctx.emit(store, reading)  # wrong
    count: str = await ctx.invoke(store, reading)  # wrong
    text: int = await ctx.invoke(plain, 1)  # wrong
    user: list[int] = await ctx.invoke(sign_up, "ada")  # wrong
    limit: str = ctx.config.limit  # wrong
    print(ctx.config.limits)  # wrong
    pins: str = ctx.resources["pins"]  # wrong
    print(count, text, user, limit, pins)


Service("Thermo", config=dict)  # wrong
Service("Thermo", version=1)  # wrong


@thermo.subscription("readingTaken")  # wrong
async def by_name(ctx: Context) -> None: ...


@thermo.subscription(reading_taken, overflow="drop")  # wrong
async def by_overflow(ctx: Context) -> None: ...


@thermo.subscription(reading_taken, needs=["fast"])  # wrong
async def by_needs(ctx: Context) -> None: ...
