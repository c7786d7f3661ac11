"""The send window alone, on a link that is played."""

from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from purista_fast import UnhandledError
from purista_fast._core import Address, Message
from purista_fast.bridges.mqtt.expiry import event_expiry, whole_seconds
from purista_fast.bridges.mqtt.link import LinkLost
from purista_fast.bridges.mqtt.publisher import Outgoing, Publisher
from tests.broker.helpers import until

pytestmark = pytest.mark.anyio
SENDER = Address("Test", "1", "here", "node")


def event(number: int, **fields: Any) -> Outgoing:
    message = Message("customMessage", sender=SENDER, event_name=f"e{number}", payload=b"1", **fields)
    return Outgoing(message, "purista", lambda: 30, again=True)


def command(number: int) -> Outgoing:
    receiver = Address("Test", "1", "there")
    message = Message("command", sender=SENDER, receiver=receiver, event_name=f"c{number}", correlation_id="c")
    return Outgoing(message, "purista", lambda: 30, again=False)


class PlayedLink:
    """Keeps what is published, and acknowledges when it is told to."""

    def __init__(self, receive_maximum: int = 65_535, maximum_packet_size: int = 268_435_460) -> None:
        self.receive_maximum = receive_maximum
        self.maximum_packet_size = maximum_packet_size
        self.is_up = True
        self.sent: list[str] = []
        self.on_acknowledged: Any = None
        self._mids: Iterator[int] = iter(range(1, 1000))

    def publish(self, topic: str, payload: bytes, properties: bytes, *, retain: bool = False) -> int:
        if not self.is_up:
            raise LinkLost
        assert properties
        self.sent.append(topic.split("/")[8])
        return next(self._mids)

    def acknowledge(self, *mids: int, code: int = 0) -> None:
        for mid in mids:
            self.on_acknowledged(mid, code)


def publisher(link: PlayedLink | None = None) -> Publisher:
    made = Publisher(max_packet_size=10_000, where="the broker")
    if link is not None:
        made.up(link)  # type: ignore[arg-type]
    return made


async def test_no_more_than_the_broker_allows_and_in_order() -> None:
    link = PlayedLink(receive_maximum=2)
    window = publisher(link)
    for number in range(5):
        window.post(event(number))
    assert (link.sent, window.in_flight, window.waiting) == (["e0", "e1"], 2, 3)
    link.acknowledge(2)
    assert link.sent == ["e0", "e1", "e2"]
    link.acknowledge(1, 3)
    assert link.sent == ["e0", "e1", "e2", "e3", "e4"]
    link.acknowledge(4, 5)
    assert (window.published, window.in_flight, window.waiting) == (5, 0, 0)


async def test_after_a_break_events_go_again_in_order_and_commands_do_not() -> None:
    link = PlayedLink(receive_maximum=4)
    window = publisher(link)
    entries = [event(0), command(1), event(2), event(3), event(4), command(5)]
    for entry in entries:
        window.post(entry)
    link.acknowledge(3)
    assert link.sent == ["e0", "c1", "e2", "e3", "e4"]
    link.is_up = False
    window.forget(entries[3])
    again = PlayedLink(receive_maximum=3)
    window.up(again)  # type: ignore[arg-type]
    assert again.sent == ["e0", "e4", "c5"], "acknowledged, given up or a command: not again"
    again.acknowledge(1, 2, 3)
    assert (window.in_flight, window.waiting) == (0, 0)


async def test_what_goes_again_counts_for_what_is_left_of_its_time() -> None:
    left = iter((30, 20, 10))
    expiries: list[int] = []

    class Link(PlayedLink):
        def publish(self, topic: str, payload: bytes, properties: bytes, *, retain: bool = False) -> int:
            expiries.append(int.from_bytes(properties.partition(b"\x02\0")[2][:3], "big"))
            return super().publish(topic, payload, properties, retain=retain)

    entry = event(0)
    entry.expiry = lambda: next(left)
    window = publisher(Link())
    window.post(entry)
    for _ in range(2):
        window.up(Link())  # type: ignore[arg-type]
    assert expiries == [30, 20, 10]


async def test_nothing_is_published_without_a_link() -> None:
    window = publisher()
    first, second = command(1), event(2)
    window.post(first)
    window.post(second)
    window.forget(first)
    link = PlayedLink()
    window.up(link)  # type: ignore[arg-type]
    assert link.sent == ["e2"], "an invocation that has ended is not sent"


async def test_no_room_in_time() -> None:
    link = PlayedLink(receive_maximum=1)
    window = publisher(link)
    window.post(event(0))
    late = event(1)
    window.post(late)
    with pytest.raises(UnhandledError, match=r"503 no room in the send window to the broker for 0\.01 s") as caught:
        await window.admitted(late, 0.01)
    assert caught.value.status == 503
    link.acknowledge(1)
    assert link.sent == ["e0"], "what was given up is not sent"
    assert window.waiting == 0


@pytest.mark.parametrize(
    ("code", "status", "text"),
    [
        (0x87, 403, "not authorized"),
        (0x90, 400, "the topic is invalid"),
        (0x95, 413, "too large"),
        (0x99, 400, "payload format"),
        (0x83, 502, "refused by the broker"),
    ],
)
async def test_final_reason_codes(code: int, status: int, text: str) -> None:
    link = PlayedLink()
    window = publisher(link)
    entry = event(0)
    window.post(entry)
    link.acknowledge(1, code=code)
    with pytest.raises(UnhandledError, match=text) as caught:
        await window.acknowledged(entry, 5)
    assert caught.value.status == status
    assert f"0x{code:02X}" in caught.value.message
    assert "purista/custom_message/" in caught.value.message
    assert link.sent == ["e0"]
    assert window.statistics()["refused_by_broker"] == 1


async def test_no_matching_subscriber_is_success_and_counted() -> None:
    link = PlayedLink()
    window = publisher(link)
    entry = event(0)
    window.post(entry)
    link.acknowledge(1, code=0x10)
    await window.acknowledged(entry, 5)
    assert (window.published, window.no_matching_subscribers) == (1, 1)


@pytest.mark.parametrize(("code", "status"), [(0x80, 503), (0x97, 507)])
async def test_a_busy_broker_is_asked_again_until_time_is_up(code: int, status: int) -> None:
    link = PlayedLink()
    window = publisher(link)
    entry = event(0)
    window.post(entry)
    link.acknowledge(1, code=code)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(window.acknowledged, entry, 5)
        await until(lambda: len(link.sent) == 2)
        link.acknowledge(2)
    assert link.sent == ["e0", "e0"]

    entry = event(1)
    window.post(entry)
    link.acknowledge(3, code=code)
    with pytest.raises(UnhandledError) as caught:
        await window.acknowledged(entry, 0.02)
    assert caught.value.status == status


async def test_without_acknowledgement_the_outcome_is_unknown_or_known_to_be_none() -> None:
    link = PlayedLink()
    window = publisher(link)
    entry = event(0)
    window.post(entry)
    with pytest.raises(UnhandledError, match=r"504 not acknowledged .* within 0\.01 s: .* unknown"):
        await window.acknowledged(entry, 0.01)
    unsent = publisher()
    entry = event(1)
    unsent.post(entry)
    with pytest.raises(UnhandledError, match=r"503 not sent within 0\.01 s: no connection to the broker"):
        await unsent.acknowledged(entry, 0.01)
    assert unsent.waiting == 0


@pytest.mark.parametrize("ours", [True, False])
async def test_what_is_too_large_fails_alone(ours: bool) -> None:
    link = PlayedLink(maximum_packet_size=268_435_460 if ours else 10_000)
    window = Publisher(max_packet_size=10_000 if ours else 1_000_000, where="the broker")
    window.up(link)  # type: ignore[arg-type]
    message = Message("customMessage", sender=SENDER, event_name="e9", payload=b'"' + b"x" * 10_000 + b'"')
    with pytest.raises(UnhandledError, match=r"413 the message has 1\d{4} bytes .* 10000 are allowed"):
        window.post(Outgoing(message, "purista", lambda: 1, again=True))
    window.post(event(1))
    assert link.sent == ["e1"]


@pytest.mark.parametrize("fields", [{"principal_id": "+"}, {"tenant_id": "a\nb"}, {"principal_id": "x" * 70_000}])
async def test_what_mqtt_cannot_carry_is_refused_before_it_costs_the_connection(fields: dict[str, str]) -> None:
    window = publisher(PlayedLink())
    with pytest.raises(UnhandledError) as caught:
        window.post(event(0, **fields))
    assert caught.value.status == 400


def test_expiry() -> None:
    assert [whole_seconds(s) for s in (-1, 0, 0.2, 1, 1.01, 30, 1e12)] == [1, 1, 1, 1, 2, 30, 0xFFFF_FFFF]
    receiver = Address("A", "1", "b", "i")

    def expiry(kind: str, event_name: str | None) -> int:
        message = Message(kind, sender=SENDER, receiver=receiver, correlation_id="c", event_name=event_name)
        return event_expiry(message, 1.5, 100.0)

    assert expiry("command", None) == expiry("command", "asked") == 2
    assert expiry("commandSuccessResponse", None) == expiry("commandErrorResponse", None) == 2
    assert expiry("commandSuccessResponse", "done") == 100
    assert expiry("customMessage", "e") == expiry("infoServiceReady", None) == 100
