"""States at their bounds: numbers and depths that nothing is made for, more expired values than are removed at once,
and a store that is used, or closed, when it should not be."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from math import inf, nan
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup
from msgspec import Raw, Struct

from purista_fast import App, BridgeError, ConfigError, Context, Event, PayloadError, Service, UnhandledError
from purista_fast.bridges.memory import MemoryBridge
from purista_fast.config import load
from purista_fast.storage import states as table
from purista_fast.storage import states_damage
from purista_fast.storage.clock import PoweredClock
from purista_fast.storage.database import StorageError
from purista_fast.stores import Stores
from purista_fast.stores import sqlite as module
from purista_fast.stores.sqlite import SqliteStates
from purista_fast.stores.states import States
from purista_fast.wire import Address, Message
from tests.patience import patient

pytestmark = pytest.mark.anyio


class Reading(Struct):
    celsius: float


def made(url: str, folder: Path) -> Stores:
    states = {"url": url, "trust_clock": "always"}
    return Stores(load(overrides={"states": states, "storage": {"state_dir": str(folder)}}), "app")


@pytest.fixture(params=["sqlite", "memory"])
async def states(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[States]:
    stores = made(f"{request.param}://", tmp_path)
    yield stores.states("Thermo")
    await stores.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "states.db"


def store_of(file: Path) -> SqliteStates:
    return SqliteStates(file, PoweredClock("never"), 1 << 24)


@pytest.mark.parametrize("ttl", [1.1e11, 1e300, 10**400, 10**5000], ids=["just", "float", "integer", "unwritable"])
async def test_a_time_to_live_has_an_end(states: States, ttl: float) -> None:
    with pytest.raises(ValueError, match=r"ttl must be above 0 seconds and at most 1e\+11, not"):
        await states.set("a", 1, ttl=ttl)
    await states.set("a", 1, ttl=1e11)
    assert await states.get("a") == 1


@pytest.mark.parametrize("by", [10**400, -(10**5000)], ids=["large", "unwritable"])
@pytest.mark.parametrize("present", [1, 1.5])
async def test_a_sum_that_no_number_can_be_names_the_state(states: States, present: float, by: int) -> None:
    await states.set("a", present)
    with pytest.raises(OverflowError, match=r"state 'Thermo/a' cannot be incremented by an integer of \d+ bits"):
        await states.increment("a", by)
    assert await states.get("a") == present


@pytest.mark.parametrize("value", [nan, {"a": [None, inf]}, Reading(-inf), (1, {2: nan})])
async def test_what_is_no_number_is_not_kept_as_nothing(states: States, value: Any) -> None:
    await states.set("a", 1)
    with pytest.raises(PayloadError, match=r"state 'Thermo/a': no JSON can be made .* would be kept as null"):
        await states.set("a", value)
    with pytest.raises(PayloadError, match="state 'Thermo/a': no JSON can be made"):
        await states.update("a", lambda _: value)
    assert await states.get("a") == 1
    await states.set("a", {"b": [None, 1.5, "null"], "c": {1, 2}, 3: b"x", "d": Reading(1.0)})
    await states.set("a", [Raw(b'{"b":null}'), None])


async def test_values_that_nest_deeply_are_compared(states: States) -> None:
    value: list[Any] = []
    for _ in range(700):
        value = [value]
    await states.set("a", value)
    assert not await states.compare_and_set("a", [*value, 1], 1)
    assert await states.compare_and_set("a", value, 1)


async def test_expired_values_are_removed_as_fast_as_they_come(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_PURGED", 5)
    store = store_of(file)
    for number in range(20):
        await store.set("s", f"a{number}", b"1", 0.001)
    await anyio.sleep(0.002)
    store._purged = float("-inf")  # a minute later
    for _ in range(5):
        await store.set("s", "last", b"1", None)
    with closing(sqlite3.connect(file)) as db:
        assert db.execute("SELECT key FROM states").fetchall() == [("last",)]
    await store.close()


async def test_a_file_that_cannot_be_opened_is_tried_once_for_all_that_wait(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states_damage, "_PATIENCE", 0.01)
    tries: list[Path] = []

    def open_shared(file: Path) -> Any:
        tries.append(file)
        return states_damage.open_shared(file)

    monkeypatch.setattr(module, "open_shared", open_shared)
    user, store = store_of(file), store_of(file)
    await user.set("s", "a", b"1", None)
    for path in file.parent.glob("states.db*"):
        path.unlink()
    tries.clear()
    told: list[str] = []

    async def get() -> None:
        with pytest.raises(StorageError, match="it was removed") as caught:
            await store.get("s", "a")
        told.append(str(caught.value))

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(get)
    assert len(told) == 10
    assert len(tries) <= 2, "those that wait together share a wait of seconds"
    await user.close()
    await store.close()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_closing_waits_for_what_was_left_behind(file: Path) -> None:
    """asyncio's own cancellation leaves a thread in the middle of a transaction."""
    store = store_of(file)
    await store.set("s", "a", b"1", None)
    entered, go_on = threading.Event(), threading.Event()
    found: list[Any] = []

    def work(db: sqlite3.Connection, _now: Any) -> None:
        entered.set()
        go_on.wait(patient(30))
        found.append(db.execute("SELECT key FROM states").fetchall())

    task = asyncio.create_task(store._run(work))
    await asyncio.to_thread(entered.wait)
    task.cancel()
    closing = asyncio.create_task(store.close())
    await asyncio.wait([closing], timeout=0.05)
    assert not closing.done()
    go_on.set()
    await closing
    assert found == [[("a",)]]
    assert task.cancelled()


async def test_nothing_is_opened_once_the_application_has_stopped(tmp_path: Path) -> None:
    async with App().serve(bridge="memory://", overrides={"storage": {"state_dir": str(tmp_path)}}) as client:
        pass
    with pytest.raises(UnhandledError, match="states of app: the application has stopped"):
        await client.states.set("a", 1)
    assert not await anyio.Path(tmp_path / "app").exists()


@pytest.mark.parametrize("url", ["redis://host", "sqlite:///tmp/mine.db", "memory://mine", "sqlite", ""])
async def test_where_states_are_is_known_at_the_start(url: str) -> None:
    with pytest.raises(ConfigError, match=f"states.url '{url}'"):
        async with App().serve(bridge="memory://", overrides={"states": {"url": url}}):
            pass


async def test_states_are_closed_if_the_start_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that waited may come before the start has failed."""
    service, woken = Service("Early"), Event("woken", int)
    handled = anyio.Event()
    used: list[States] = []

    @service.subscription(woken)
    async def on(ctx: Context, payload: int) -> None:
        await ctx.states.set("a", payload)
        used.append(ctx.states)
        handled.set()

    start = MemoryBridge.start

    async def start_and_fail(bridge: MemoryBridge, tasks: TaskGroup) -> None:
        await start(bridge, tasks)
        await bridge.emit(
            Message("customMessage", sender=Address("A", "1", "a", "a"), event_name="woken", payload=b"1")
        )
        await handled.wait()
        raise BridgeError("it does not start")

    monkeypatch.setattr(MemoryBridge, "start", start_and_fail)
    with pytest.raises(BridgeError, match="it does not start"):
        async with App(service).serve(bridge="memory://", overrides={"storage": {"state_dir": str(tmp_path)}}):
            pass
    with pytest.raises(UnhandledError, match="the application has stopped"):
        await used[0].get("a")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_write_that_failed_is_never_told_as_done(file: Path) -> None:
    """Also where the disk cannot even say how full it is."""
    store = store_of(file)
    await store.set("s", "a", b"1", None)

    class Full(sqlite3.OperationalError):
        sqlite_errorcode = sqlite3.SQLITE_FULL

    class Broken:
        """A connection on a disk that has failed."""

        in_transaction = False

        def execute(self, *_args: Any) -> Any:
            raise Full("database or disk is full")

        def close(self) -> None: ...

    opened, store._db = store._db, Broken()  # type: ignore[assignment]
    outcomes: list[object] = []

    async def write() -> None:
        try:
            outcomes.append(await store.set("s", "a", b"2", None))
        except StorageError as error:
            outcomes.append(error.status)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(write)
    assert outcomes == [507, 507, 507]
    store._db = opened
    await store.close()


async def test_states_are_closed_if_the_bridge_cannot_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def stop(_bridge: MemoryBridge) -> None:
        raise BridgeError("it does not stop")

    monkeypatch.setattr(MemoryBridge, "stop", stop)
    with pytest.raises(BridgeError, match="it does not stop"):
        async with App().serve(bridge="memory://", overrides={"storage": {"state_dir": str(tmp_path)}}) as client:
            await client.states.set("a", 1)
    with pytest.raises(UnhandledError, match="the application has stopped"):
        await client.states.get("a")
