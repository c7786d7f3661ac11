"""Acknowledgements on the events session: after the handlers, in order of arrival, once for each connection."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from anyio.abc import TaskGroup

from purista_fast import Context, Event, Service
from purista_fast._core import Address, Message, encode
from purista_fast.bridges.base import Consumer
from purista_fast.bridges.mqtt.intake import Intake
from purista_fast.bridges.mqtt.lanes import Item
from purista_fast.bridges.mqtt.publisher import Publisher
from purista_fast.bridges.mqtt.state import State
from purista_fast.bridges.mqtt.store import Store
from purista_fast.bridges.mqtt.subscriptions import Interest
from purista_fast.bridges.workers import Workers
from purista_fast.config import load
from tests.broker.helpers import Bench, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("transport")]
SENDER = Address("Test", "1", "here", "node")


class PlayedLink:
    """A connection that notes what is acknowledged, subscribed and unsubscribed."""

    def __init__(self, session_present: bool = True) -> None:
        self.session_present = session_present
        self.is_up = True
        self.acknowledged: list[int] = []
        self.subscribed: list[str] = []
        self.unsubscribed: list[str] = []

    def acknowledge(self, mid: int) -> None:
        if self.is_up:
            self.acknowledged.append(mid)

    def resume(self) -> None: ...

    async def subscribe(self, filters: Any) -> None:
        self.subscribed += [text for text, _ in filters]

    async def unsubscribe(self, filters: Any) -> None:
        self.unsubscribed += filters


class Side:
    """The events side of a bridge, with consumers whose handlers end when they are told to."""

    def __init__(self, tmp_path: Path, **consumers: str) -> None:
        self.workers = Workers(self._run)
        settings = load(None, environ={})
        publisher = Publisher(max_packet_size=10_000, where="the broker")
        state = State(tmp_path, "node")
        self.store = Store(settings, state, publisher, self.workers, Intake("purista"), lambda _event: None)
        self.events = self.store.events
        self.taken: list[tuple[str, str]] = []
        self._gates: dict[tuple[str, str], anyio.Event] = {}
        (tmp_path / "node").mkdir(exist_ok=True)
        for target, event in consumers.items():
            consumer = Consumer(
                address=Address("Watch", "1", target, "node"),
                subscription={"eventName": event},
                message_types=("customMessage",),
                handle=partial(self._handle, target),
                concurrency=100,
            )
            interest = Interest(consumer, self.workers.add(consumer, 1000), "purista")
            self.events.table.add(interest)
            self.store.spool.add(interest)

    async def start(self, tasks: TaskGroup) -> None:
        await self.store.open(tasks)
        self.workers.start(tasks)
        self.store.start(tasks)

    async def _handle(self, target: str, message: Message) -> None:
        key = (target, message.id or "")
        self.taken.append(key)
        await self._gate(key).wait()

    async def _run(self, consumer: Consumer, item: Item) -> None:
        await self.store.spool.attempts.run(consumer, item, lambda *_: None)

    def _gate(self, key: tuple[str, str]) -> anyio.Event:
        return self._gates.setdefault(key, anyio.Event())

    async def finish(self, target: str, *ids: str) -> None:
        for number in ids:
            self._gate((target, number)).set()
        await anyio.wait_all_tasks_blocked()

    async def come(
        self,
        link: PlayedLink,
        mid: int,
        number: str,
        event: str = "happened",
        *,
        dup: bool = False,
        forged: bool = False,
    ) -> None:
        message = Message("customMessage", sender=SENDER, event_name=event, id=number, payload=b"1")
        filters = self.events.table.filters
        identifiers = [value for text, value in filters.items() if f"/{event}/" in text] or [77]
        arrived = SimpleNamespace(
            topic="purista/forged" if forged else message.topic(),
            payload=encode(message),
            qos=1,
            mid=mid,
            dup=dup,
            identifiers=tuple(identifiers),
            refusal=None,
        )
        self.events.arrived(link, arrived)  # type: ignore[arg-type]
        await anyio.wait_all_tasks_blocked()


@pytest.fixture
async def side(tmp_path: Path, anyio_backend: str) -> Any:
    async with anyio.create_task_group() as tasks:
        made = Side(tmp_path, one="happened", two="happened", other="else")
        await made.start(tasks)
        yield made
        await made.store.close()
        tasks.cancel_scope.cancel()


async def test_in_order_of_arrival_after_all_consumers(side: Side) -> None:
    link = PlayedLink()
    for mid, number in enumerate("abc", 1):
        await side.come(link, mid, number)
    await side.finish("one", "a", "b", "c")
    await side.finish("two", "c", "b")
    assert link.acknowledged == [], "a is not done"
    await side.finish("two", "a")
    assert link.acknowledged == [1, 2, 3]
    assert len(side.taken) == 6


async def test_what_is_refused_waits_for_its_turn_as_well(side: Side, caplog: pytest.LogCaptureFixture) -> None:
    link = PlayedLink()
    await side.come(link, 1, "a", "else")
    await side.come(link, 2, "b", forged=True)
    await side.come(link, 3, "c", "unknown")
    assert link.acknowledged == []
    await side.finish("other", "a")
    await until(lambda: link.acknowledged == [1, 2, 3])
    assert "forged topic" in caplog.text
    assert side.events.unknown == 1
    assert "dead letter 1: unknown purista/" in caplog.text
    assert "nobody here subscribes [77] any more" in caplog.text


async def test_after_a_break_what_runs_still_is_not_run_twice(side: Side) -> None:
    old, new = PlayedLink(), PlayedLink()
    for mid, number in enumerate("abc", 1):
        await side.come(old, mid, number, "else")
    await side.finish("other", "b")
    old.is_up = False
    await side.finish("other", "a")
    for mid, number in enumerate("abc", 11):
        await side.come(new, mid, number, "else", dup=True)
    assert new.acknowledged == [11, 12], "a and b were done before"
    await side.finish("other", "c")
    assert new.acknowledged == [11, 12, 13]
    assert old.acknowledged == []
    assert side.taken == [("other", number) for number in "abc"]
    assert side.events.repeated == 3


async def test_the_same_message_twice_on_one_connection_is_two(side: Side) -> None:
    link = PlayedLink()
    await side.come(link, 1, "a", "else")
    await side.come(link, 2, "a", "else")
    await side.finish("other", "a")
    assert side.taken == [("other", "a")] * 2
    assert link.acknowledged == [1, 2]


async def test_while_draining_all_is_left_to_the_broker(side: Side) -> None:
    link = PlayedLink()
    await side.come(link, 1, "a", "else")
    side.events.is_draining = True
    await side.come(link, 2, "b", "else")
    await side.finish("other", "a")
    assert link.acknowledged == [1]
    assert side.taken == [("other", "a")]


async def test_what_the_code_has_no_more_is_unsubscribed(tmp_path: Path, anyio_backend: str) -> None:
    def made(**consumers: str) -> tuple[Side, Callable[[], dict[str, Any]]]:
        side = Side(tmp_path, **consumers)
        side.events.load()
        return side, lambda: json.loads((tmp_path / "node" / "subscriptions.json").read_text())["subscriptions"]

    def names(filters: list[str]) -> list[str]:
        return sorted(text.split("/")[1].removeprefix("sharedpurista_watch_1_") for text in filters)

    side, kept = made(one="happened", two="happened")
    first = PlayedLink(session_present=False)
    await side.events.up(first)  # type: ignore[arg-type]
    assert names(first.subscribed) == ["one", "two"]
    assert kept() == {"confirmed": side.events.table.filters, "attempted": {}}
    again = PlayedLink()
    await side.events.up(again)  # type: ignore[arg-type]
    assert (names(again.subscribed), again.unsubscribed) == (["one", "two"], [])
    lost = PlayedLink(session_present=False)
    await side.events.up(lost)  # type: ignore[arg-type]
    assert names(lost.subscribed) == ["one", "two"]

    side, kept = made(two="happened", other="else")
    changed = PlayedLink()
    await side.events.up(changed)  # type: ignore[arg-type]
    assert (names(changed.subscribed), names(changed.unsubscribed)) == (["other", "two"], ["one"])
    assert kept()["confirmed"] == side.events.table.filters

    # A start that ended between the request and the answer.
    crashed = json.loads((tmp_path / "node" / "subscriptions.json").read_text())
    crashed["subscriptions"]["attempted"] = {"$share/sharedpurista_watch_1_gone/purista/+": 5}
    (tmp_path / "node" / "subscriptions.json").write_text(json.dumps(crashed))
    side, kept = made(two="happened", other="else")
    repaired = PlayedLink()
    await side.events.up(repaired)  # type: ignore[arg-type]
    assert (names(repaired.subscribed), names(repaired.unsubscribed)) == (["other", "two"], ["gone"])
    assert kept()["attempted"] == {}


async def test_a_session_without_subscriptions_ends(bench: Bench) -> None:
    def service(*, listens: bool) -> Service:
        made = Service("Watch")
        if listens:

            @made.subscription(Event("happened"))
            async def on(ctx: Context) -> None: ...

        return made

    async with bench.serve(service(listens=True)) as client:
        instance = client.instance_id
    kept = bench.state_dir / "Watch" / instance / "subscriptions.json"
    assert kept.exists()
    async with bench.serve(service(listens=False)) as client:
        assert client.instance_id == instance
    assert not kept.exists()
    connects = bench.broker.log.count(f" as {instance} ")
    async with bench.serve(service(listens=False)):
        pass
    assert bench.broker.log.count(f" as {instance} ") == connects, "no events session any more"
