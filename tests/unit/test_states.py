"""What handlers keep by key, whichever store keeps it."""

import functools
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from purista_fast import App, ConfigError, Context, PayloadError, Service, UnhandledError, connect, testing
from purista_fast.config import Settings, load
from purista_fast.storage.clock import Moment, PoweredClock
from purista_fast.stores import Stores
from purista_fast.stores.memory import MemoryStates
from purista_fast.stores.sqlite import SqliteStates
from purista_fast.stores.states import States, StateStore

pytestmark = pytest.mark.anyio


class Reading(Struct):
    sensor: str
    celsius: float = 0.0


@pytest.fixture(params=["sqlite", "memory"])
async def states(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[States]:
    async with opened(f"{request.param}://", tmp_path) as made:
        yield made


@asynccontextmanager
async def opened(url: str, folder: Path, **more: Any) -> AsyncIterator[States]:
    stores = Stores(load(overrides={"states": {"url": url, **more}, "storage": {"state_dir": str(folder)}}), "app")
    yield stores.states("Thermo")
    await stores.close()


async def test_a_value_is_what_was_set(states: States) -> None:
    assert await states.get("a") is None
    assert await states.get("a", default=7) == 7
    await states.set("a", {"b": [1, 2.5, None, "ü"]})
    assert await states.get("a") == {"b": [1, 2.5, None, "ü"]}
    await states.set("a", None)
    assert await states.get("a", default=7) is None
    assert (await states.remove("a"), await states.remove("a")) == (True, False)
    assert await states.get("a", default=7) == 7


async def test_a_type_is_read(states: States) -> None:
    await states.set("reading", Reading("attic", 21.5))
    assert await states.get("reading", type=Reading) == Reading("attic", 21.5)
    await states.set("reading", "cold")
    with pytest.raises(PayloadError, match=r"state 'Thermo/reading' is kept as something else.*Expected"):
        await states.get("reading", type=Reading)


async def test_services_have_keys_of_their_own(states: States) -> None:
    await states.set("a", 1)
    other = states.of("Fan")
    assert await other.get("a") is None
    await other.set("a", 2)
    assert await states.get("a") == 1
    assert repr(other) == "<states of Fan>"


@pytest.mark.parametrize("key", ["", "a" * 257, "a\0b", "a\nb", "\ud800", 7, None])
async def test_keys_are_bounded(states: States, key: Any) -> None:
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: states.get(key),
        lambda: states.set(key, 1),
        lambda: states.remove(key),
        lambda: states.increment(key),
        lambda: states.compare_and_set(key, 1, 2),
        lambda: states.update(key, lambda value: value),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="the key of a state must be"):
            await call()


async def test_what_is_no_json_is_refused(states: States) -> None:
    for value in (object(), {"a": {1, object()}}):
        with pytest.raises(PayloadError, match="state 'Thermo/a'"):
            await states.set("a", value)
    assert await states.get("a") is None


@pytest.mark.parametrize("ttl", [0, -1, float("inf"), float("nan")])
async def test_a_time_to_live_is_a_time(states: States, ttl: float) -> None:
    with pytest.raises(ValueError, match="ttl must be above 0 seconds"):
        await states.set("a", 1, ttl=ttl)


@pytest.mark.parametrize("url", ["sqlite://", "memory://"])
async def test_values_are_bounded(url: str, tmp_path: Path) -> None:
    async with opened(url, tmp_path, max_value_size=64) as states:
        await states.set("a", "x" * 62)
        with pytest.raises(UnhandledError, match=r"413 .*'Thermo/a' would have 65 bytes; states.max_value_size .* 64"):
            await states.set("a", "x" * 63)
        assert await states.get("a") == "x" * 62


@pytest.mark.parametrize("url", ["sqlite://", "memory://"])
async def test_a_full_store_says_so_and_can_be_emptied(url: str, tmp_path: Path) -> None:
    async with opened(url, tmp_path, max_bytes=65536 * 4) as states:
        number = 0

        async def fill() -> None:
            nonlocal number
            for number in range(1000):
                await states.set(f"a{number}", "x" * 1000)

        with pytest.raises(UnhandledError, match=r"507 .*states.max_bytes allows 262144 bytes. Remove states"):
            await fill()
        assert number > 100
        for key in range(number):
            assert await states.remove(f"a{key}")
        await states.set("b", "x" * 1000)


async def test_increment(states: States) -> None:
    assert [await states.increment("n") for _ in range(3)] == [1, 2, 3]
    assert await states.increment("n", 0.5) == 3.5
    assert await states.increment("n", -4) == -0.5
    await states.set("text", "one")
    await states.set("truth", True)
    for key in ("text", "truth"):
        with pytest.raises(TypeError, match=rf"state 'Thermo/{key}' cannot be incremented: .* is no number"):
            await states.increment(key)
    await states.set("n", 2**63 - 1)
    for by in (1, float("inf"), float("nan")):
        with pytest.raises(OverflowError, match="the sum is too large"):
            await states.increment("n", by)
    assert await states.get("n") == 2**63 - 1


async def test_increments_at_the_same_time_lose_none(states: States) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(states.increment, "n")
    assert await states.get("n") == 100


async def test_compare_and_set(states: States) -> None:
    assert not await states.compare_and_set("a", 1, 2)
    assert await states.compare_and_set("a", None, {"x": 1, "y": [True]})
    assert not await states.compare_and_set("a", None, 3)
    assert not await states.compare_and_set("a", {"x": 1, "y": [1]}, 3), "1 is not true"
    assert await states.compare_and_set("a", {"y": [True], "x": 1.0}, 3)
    assert await states.compare_and_set("a", 3, None)
    assert await states.compare_and_set("a", None, 4)
    assert await states.get("a") == 4


async def test_update_begins_anew_if_another_was_faster(states: States) -> None:
    inner = iter([10, 20])
    store = states._stores.store()
    plain = store.get

    async def meddled(service: str, key: str) -> bytes | None:
        found = await plain(service, key)
        if (number := next(inner, None)) is not None:
            await store.set(service, key, str(number).encode(), None)
        return found

    store.get = meddled  # type: ignore[method-assign]
    seen: list[int] = []

    def change(value: int) -> int:
        seen.append(value)
        return value + 1

    assert await states.update("a", change, type=int, default=0) == 21
    assert seen == [0, 10, 20]


async def test_update_takes_a_plain_function(states: States) -> None:
    async def change(value: Any) -> Any:
        return value

    with pytest.raises(TypeError, match="state Thermo/a: what changes it must be a plain function"):
        await states.update("a", change)


class Time(PoweredClock):
    """A clock that is set by hand."""

    def __init__(self, *, is_right: bool) -> None:
        super().__init__("never")
        self.powered, self.wall, self.right = 1000.0, 1_700_000_000_000, is_right

    def now(self) -> Moment:
        return Moment(self.powered, self.wall if self.right else None)

    def state(self) -> tuple[float, float, str]:
        return self.powered, self.powered, "boot"

    def resume(self, powered: float, since_boot: float, boot_id: str) -> None:
        pass

    def passes(self, seconds: float) -> None:
        self.powered += seconds
        self.wall += int(seconds * 1000)


async def test_a_wall_clock_that_jumps_does_not_count_unless_it_is_right(tmp_path: Path) -> None:
    clock = Time(is_right=False)
    store = SqliteStates(tmp_path / "states.db", clock, 1 << 20)
    await store.set("a", "b", b"1", 60.0)
    clock.wall += 86_400_000
    assert await store.get("a", "b") == b"1"
    clock.right = True
    assert await store.get("a", "b") == b"1", "it was not known when it was set"
    clock.passes(60.0)
    assert await store.get("a", "b") is None
    await store.set("a", "b", b"1", 60.0)
    clock.wall -= 86_400_000  # set right backwards, or a device that starts in 1970
    assert await store.get("a", "b") == b"1"
    clock.passes(60.0)
    assert await store.get("a", "b") is None
    await store.set("a", "b", b"1", 60.0)
    clock.wall += 61_000  # it had no power for a while, and knows
    assert await store.get("a", "b") is None
    assert not await store.remove("a", "b")
    await store.close()


KEYS = st.sampled_from(["a", "b", "c"])
VALUES = st.sampled_from([b"0", b"1", b"2", b'"text"'])
LIVES = st.none() | st.sampled_from([1.0, 2.5, 10.0])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("get"), KEYS),
        st.tuples(st.just("set"), KEYS, VALUES, LIVES),
        st.tuples(st.just("remove"), KEYS),
        st.tuples(st.just("compare"), KEYS, st.none() | VALUES, VALUES, LIVES),
        st.tuples(st.just("increment"), KEYS, st.integers(-3, 3), LIVES),
        st.tuples(st.just("passes"), st.sampled_from([0.5, 1.0, 2.5, 100.0])),
        st.tuples(st.just("jumps"), st.integers(-(10**12), 10**12)),
        st.tuples(st.just("reopen")),
    ),
    max_size=30,
)


class Twin:
    """A dictionary, and when each of its values ends."""

    def __init__(self) -> None:
        self.now = 0.0
        self.values: dict[str, tuple[bytes, float]] = {}

    def get(self, key: str) -> bytes | None:
        value, ends = self.values.get(key, (None, 0.0))
        return value if ends > self.now else None

    def set(self, key: str, value: bytes, ttl: float | None) -> None:
        self.values[key] = (value, float("inf") if ttl is None else self.now + ttl)

    def remove(self, key: str) -> bool:
        was_there = self.get(key) is not None
        self.values.pop(key, None)
        return was_there

    def increment(self, key: str, by: int, ttl: float | None) -> int | None:
        present = self.get(key)
        if present == b'"text"':
            return None
        total = int(present or 0) + by
        if present is None:
            self.set(key, b"%d" % total, ttl)
        else:
            self.values[key] = (b"%d" % total, self.values[key][1])
        return total


async def play(make: Callable[[], StateStore], clock: Time, steps: list[Any]) -> None:
    store, twin = make(), Twin()
    for verb, *arguments in steps:
        if verb == "get":
            assert await store.get("s", arguments[0]) == twin.get(arguments[0])
        elif verb == "set":
            await store.set("s", *arguments)
            twin.set(*arguments)
        elif verb == "remove":
            assert await store.remove("s", arguments[0]) == twin.remove(arguments[0])
        elif verb == "compare":
            key, expected, value, ttl = arguments
            is_same = twin.get(key) == expected
            assert await store.compare_and_set("s", key, expected, value, ttl) == is_same
            if is_same:
                twin.set(key, value, ttl)
        elif verb == "increment":
            total = twin.increment(*arguments)
            if total is None:
                with pytest.raises(TypeError):
                    await store.increment("s", *arguments)
            else:
                assert await store.increment("s", *arguments) == total
        elif verb == "passes":
            clock.passes(arguments[0])
            twin.now += arguments[0]
        elif verb == "jumps":
            clock.wall += arguments[0]
        elif isinstance(store, SqliteStates):
            await store.close()
            store = make()
    for key in ("a", "b", "c"):
        assert await store.get("s", key) == twin.get(key)
    await store.close()


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_sqlite_does_what_a_dictionary_does(steps: list[Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    clock = Time(is_right=False)
    make = functools.partial(SqliteStates, tmp_path_factory.mktemp("states") / "states.db", clock, 1 << 20)
    anyio.run(play, make, clock, steps)


@given(steps=STEPS)
def test_memory_does_what_a_dictionary_does(steps: list[Any]) -> None:
    clock = Time(is_right=False)
    anyio.run(play, functools.partial(MemoryStates, 1 << 20, clock), clock, steps)


# --- in an application

counter = Service("Counter")


@counter.command
async def count(ctx: Context) -> int:
    return int(await ctx.states.increment("runs"))


async def test_a_handler_keeps_over_restarts(tmp_path: Path) -> None:
    overrides = {"storage": {"state_dir": str(tmp_path)}}
    for expected in (1, 2):
        async with App(counter).serve(bridge="memory://", overrides=overrides) as client:
            assert await client.invoke(count) == expected
            assert await client.states.of("Counter").get("runs") == expected
            assert await client.states.get("runs") is None
    assert (tmp_path / "Counter" / "states.db").stat().st_mode & 0o777 == 0o600
    async with connect("memory://", name="Tool", overrides=overrides) as tool:
        await tool.states.set("seen", 1)
    assert (tmp_path / "Tool" / "states.db").exists()


async def test_nothing_is_made_of_what_nobody_uses(tmp_path: Path) -> None:
    quiet = Service("Quiet")
    async with App(quiet).serve(bridge="memory://", overrides={"storage": {"state_dir": str(tmp_path)}}):
        pass
    assert not any(path.exists() for path in (tmp_path / "Quiet", tmp_path / "Client"))


async def test_a_context_for_tests_keeps_in_memory() -> None:
    ctx = testing.context(states={"runs": 41})
    assert await count(ctx) == 42
    assert await ctx.states.get("runs") == 42


async def test_an_adapter_is_found_by_its_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = tmp_path / "adapter-1.dist-info"
    found.mkdir()
    (found / "METADATA").write_text("Metadata-Version: 2.1\nName: adapter\nVersion: 1\n")
    (found / "entry_points.txt").write_text("[purista_fast.states]\nkept = kept_elsewhere:make\n")
    (tmp_path / "kept_elsewhere.py").write_text(
        "from purista_fast.stores.memory import MemoryStates\n"
        "def make(url, settings):\n"
        "    made.append(url)\n"
        "    return MemoryStates(1000)\n"
        "made = []\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    async with opened("kept://host", tmp_path) as states:
        await states.set("a", 1)
        assert await states.get("a") == 1
    import kept_elsewhere  # type: ignore[import-not-found]

    del sys.modules["kept_elsewhere"]
    assert kept_elsewhere.made == ["kept://host"]
    with pytest.raises(ConfigError, match="begins with none of sqlite://, memory://, kept://") as raised:
        async with opened("redis://user:hush@host", tmp_path):
            pass
    assert "hush" not in str(raised.value)
    assert "hush" not in repr(Settings(states=load(overrides={"states": {"url": "redis://user:hush@host"}}).states))
