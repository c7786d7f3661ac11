"""One connection, with a broker that is played byte by byte."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from purista_fast._core import Publish
from purista_fast.bridges.mqtt import link as module
from purista_fast.bridges.mqtt import outflow
from purista_fast.bridges.mqtt.connect import Connect
from purista_fast.bridges.mqtt.link import Link, LinkLost, Refused
from purista_fast.bridges.mqtt.sockets import QuickSocket
from purista_fast.bridges.mqtt.transports import make_transport
from purista_fast.config import load
from tests.broker.helpers import until
from tests.patience import patient

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("transport")]
CONNACK = bytes.fromhex("20 03 00 00 00")
PINGREQ, PINGRESP = b"\xc0\x00", b"\xd0\x00"


class PlayedBroker:
    """The other end."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._data = b""

    async def take(self) -> bytes:
        """The next packet; empty at the end."""
        while not (found := self._packet()):
            await anyio.wait_readable(self.sock)
            data = self.sock.recv(65_536)
            if not data:
                return b""
            self._data += data
        return found

    def send(self, packets: str | bytes) -> None:
        self.sock.sendall(bytes.fromhex(packets) if isinstance(packets, str) else packets)

    def _packet(self) -> bytes:
        length = shift = 0
        for at, digit in enumerate(self._data[1:5], 2):
            length |= (digit & 0x7F) << shift
            shift += 7
            if digit < 0x80:
                end = at + length
                if len(self._data) < end:
                    return b""
                packet, self._data = self._data[:end], self._data[end:]
                return packet
        return b""


class Side:
    def __init__(self, link: Link, broker: PlayedBroker, arrived: list[Publish]) -> None:
        self.link, self.broker, self.arrived = link, broker, arrived


@pytest.fixture
def ends() -> Iterator[tuple[QuickSocket, PlayedBroker]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = socket.create_connection(listener.getsockname())
        there, _ = listener.accept()
    here.setblocking(False)
    there.setblocking(False)
    with here, there:
        yield QuickSocket(here), PlayedBroker(there)


@asynccontextmanager
async def connected(
    ends: tuple[QuickSocket, PlayedBroker], *, keep_alive: int = 30, connack: bytes = CONNACK
) -> AsyncIterator[Side]:
    sock, broker = ends
    arrived: list[Publish] = []
    connect = Connect(
        client_id="node",
        clean_start=True,
        session_expiry=0,
        receive_maximum=10,
        max_packet_size=10_000,
        max_payload_size=1000,
        keep_alive=keep_alive,
    )
    link = Link(
        sock,
        make_transport(load().bridge.transport),
        connect,
        None,
        None,
        lambda _link, publish: arrived.append(publish),
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(link.run)
        assert (await broker.take())[0] == 0x10
        broker.send(connack)
        with anyio.fail_after(patient(10)):
            yield Side(link, broker, arrived)
        link.close("the test is over")
        tasks.cancel_scope.cancel()


async def test_subscriptions_and_messages_have_packet_ids_in_common(ends: tuple[QuickSocket, PlayedBroker]) -> None:
    async with connected(ends) as side:
        await side.link.accepted()
        acknowledged: list[tuple[int, int]] = []
        side.link.on_acknowledged = lambda mid, code: acknowledged.append((mid, code))
        first = side.link.publish("a", b"x", b"\0")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(side.link.subscribe, [("b", 7)])
            published, subscribe = await side.broker.take(), await side.broker.take()
            assert published == b"\x32\x07\x00\x01a" + first.to_bytes(2, "big") + b"\0x"
            assert subscribe[0] == 0x82
            mid = int.from_bytes(subscribe[2:4], "big")
            assert mid != first
            side.broker.send(b"\x90\x04" + subscribe[2:4] + b"\x00\x01")
        answer = first.to_bytes(2, "big")
        side.broker.send("40 04 0063 1000")  # nobody waits for this one
        side.broker.send(b"\x40\x04" + answer + b"\x10\x00" + b"\x40\x02" + answer)
        second = side.link.publish("a", b"x", b"\0")
        side.broker.send(b"\x40\x02" + second.to_bytes(2, "big"))
        await until(lambda: len(acknowledged) > 1)
        assert acknowledged == [(first, 0x10), (second, 0)]


async def test_a_packet_id_in_use_is_left_out(
    ends: tuple[QuickSocket, PlayedBroker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LAST_MID", 3)
    async with connected(ends) as side:
        await side.link.accepted()
        mids = [side.link.publish("a", b"", b"\0") for _ in range(3)]
        assert sorted(mids) == [1, 2, 3]
        seen: list[int] = []
        side.link.on_acknowledged = lambda mid, _code: seen.append(mid)
        side.broker.send("40020002")
        await until(lambda: seen)
        assert side.link.publish("a", b"", b"\0") == 2
        with pytest.raises(LinkLost, match="no more ids"):
            side.link.publish("a", b"", b"\0")


async def test_more_subscriptions_at_once_than_there_are_packet_ids(
    ends: tuple[QuickSocket, PlayedBroker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LAST_MID", 3)
    async with connected(ends) as side:
        await side.link.accepted()
        with pytest.raises(LinkLost, match="no more ids"):
            await side.link.subscribe([(f"{number}", number) for number in range(1, 5)])


async def test_messages_arrive_in_order_however_they_are_cut(ends: tuple[QuickSocket, PlayedBroker]) -> None:
    stream = b"".join(
        b"\x32" + bytes([10]) + b"\x00\x01t" + number.to_bytes(2, "big") + b"\x02\x0b\x07" + b"%02d" % number
        for number in range(1, 90)
    )
    async with connected(ends) as side:
        await side.link.accepted()
        for at in range(0, len(stream), 7):
            side.broker.send(stream[at : at + 7])
            if at % 5 == 0:
                await anyio.lowlevel.checkpoint()
        await until(lambda: len(side.arrived) == 89)
        assert [publish.mid for publish in side.arrived] == list(range(1, 90))
        assert [publish.payload for publish in side.arrived] == [b"%02d" % number for number in range(1, 90)]
        assert {(p.topic, p.identifiers, p.qos, p.dup, p.retain) for p in side.arrived} == {
            ("t", (7,), 1, False, False)
        }
        for publish in side.arrived:
            side.link.acknowledge(publish.mid)
        for number in range(1, 90):
            assert await side.broker.take() == b"\x40\x02" + number.to_bytes(2, "big")


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ("30ffffffff01", "variable byte integer"),
        ("30ffff7f", "more than was asked for"),
        ("3409 000174 0001 00 616263", "quality of service"),
        ("3006 000174 021101", "property 0x11"),
        ("3003 000574", "ends before"),
        ("400101", "ends before"),
        ("9000", "not understood"),
        ("f000", "not understood"),
        ("0000", "not understood"),
        ("e0028700", "the broker closed it: Not authorized"),
    ],
)
async def test_what_is_no_mqtt_ends_the_connection(
    ends: tuple[QuickSocket, PlayedBroker], sent: str, reason: str
) -> None:
    async with connected(ends) as side:
        await side.link.accepted()
        side.broker.send("3004 000174 00")
        side.broker.send(sent)
        await side.link.lost.wait()
        assert reason in side.link.reason
        assert len(side.arrived) == 1, "what came before counts"
        with pytest.raises(LinkLost):
            side.link.publish("a", b"", b"\0")
        side.link.acknowledge(1)


async def test_a_topic_that_is_no_text(ends: tuple[QuickSocket, PlayedBroker]) -> None:
    async with connected(ends) as side:
        await side.link.accepted()
        side.broker.send("3005 0002fffe 00")
        await until(lambda: side.arrived)
        assert side.arrived[0].topic is None


async def test_a_refusal(ends: tuple[QuickSocket, PlayedBroker]) -> None:
    async with connected(ends, connack=bytes.fromhex("2003008700")) as side:
        with pytest.raises(Refused, match="Not authorized"):
            await side.link.accepted()


async def test_a_refusal_by_a_code_of_mqtt_3(ends: tuple[QuickSocket, PlayedBroker]) -> None:
    async with connected(ends, connack=bytes.fromhex("2003000500")) as side:
        with pytest.raises((Refused, LinkLost), match=r"0x05|not understood"):
            await side.link.accepted()
        assert not side.link.is_accepted


async def test_a_subscription_without_acknowledgements_is_refused(ends: tuple[QuickSocket, PlayedBroker]) -> None:
    async with connected(ends) as side:
        await side.link.accepted()
        side.broker.send("9004 0001 00 00")
        with pytest.raises(Refused, match=r"the subscription to 'a': QoS not supported \(0x9B\)"):
            await side.link.subscribe([("a", 1)])


async def test_a_second_answer_to_the_connect(ends: tuple[QuickSocket, PlayedBroker]) -> None:
    async with connected(ends) as side:
        await side.link.accepted()
        side.broker.send("2003 01 00 00")
        await side.link.lost.wait()
        assert side.link.reason == "the broker answered the CONNECT twice"
        assert not side.link.session_present


async def test_much_goes_out_whole_and_a_disconnect_last(ends: tuple[QuickSocket, PlayedBroker]) -> None:
    """More than the system takes at once."""
    async with connected(ends) as side:
        await side.link.accepted()
        payload = b"y" * 1_000_000
        mids = [side.link.publish("a", payload, b"\0") for _ in range(12)]
        side.link.acknowledge(5)
        taken: list[bytes] = []

        async def take() -> None:
            await anyio.sleep(0.2)
            while packet := await side.broker.take():
                taken.append(packet)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take)
            await side.link.disconnect(0)
        assert [packet[0] for packet in taken] == [0x32] * 12 + [0x40, 0xE0]
        assert [int.from_bytes(packet[7:9], "big") for packet in taken[:12]] == mids
        assert all(packet.endswith(payload) for packet in taken[:12])


@pytest.mark.parametrize("end", ["by the broker", "here", "here, with a word", "by what is no MQTT", "by silence"])
async def test_a_connection_ends_while_the_broker_does_not_read(
    ends: tuple[QuickSocket, PlayedBroker], end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is lost, and nothing worse comes of it."""
    monkeypatch.setattr(module, "_PATIENCE", 0.1)
    async with connected(ends, keep_alive=1) as side:
        await side.link.accepted()
        for _ in range(12):
            side.link.publish("a", b"y" * 1_000_000, b"\0")
        await anyio.sleep(0.1)
        if end == "by the broker":
            side.broker.sock.shutdown(socket.SHUT_WR)
        elif end == "here":
            side.link.close("enough")
        elif end == "here, with a word":
            await side.link.disconnect(0)
        elif end == "by what is no MQTT":
            side.broker.send("30ffffffff01")
        await side.link.lost.wait()
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(LinkLost):
            side.link.publish("a", b"", b"\0")


async def test_what_is_sent_in_one_turn_goes_out_together(
    ends: tuple[QuickSocket, PlayedBroker], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    plain = QuickSocket.send

    def send(sock: QuickSocket, data: bytes | memoryview) -> int | None:
        calls.append(len(data))
        return plain(sock, data)

    async with connected(ends) as side:
        await side.link.accepted()
        monkeypatch.setattr(QuickSocket, "send", send)
        for _ in range(20):
            side.link.publish("a", b"x", b"\0")
        for _ in range(20):
            await side.broker.take()
        assert calls == [20 * 9]


async def test_silence_is_asked_about(ends: tuple[QuickSocket, PlayedBroker], monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected(ends, keep_alive=1) as side:
        await side.link.accepted()
        for _ in range(2):
            assert await side.broker.take() == PINGREQ
            side.broker.send(PINGRESP)
        side.link.pause()
        for _ in range(6):  # six quarters of a second, in which nothing is read
            assert await side.broker.take() == PINGREQ
        side.link.resume()
        assert side.link.is_up
        assert await side.broker.take() == PINGREQ
        await side.link.lost.wait()
        assert side.link.reason == "the broker has not answered for 1 s"


async def test_a_broker_that_wants_no_signs_of_life(ends: tuple[QuickSocket, PlayedBroker]) -> None:
    """Is asked as often as we are set to ask, neither all the time nor never."""
    async with connected(ends, keep_alive=1, connack=bytes.fromhex("2006 00 00 03 130000")) as side:
        await side.link.accepted()
        began = anyio.current_time()
        for _ in range(2):
            assert await side.broker.take() == PINGREQ
            side.broker.send(PINGRESP)
        assert anyio.current_time() - began >= 1.5
        assert side.link.is_up


@pytest.mark.parametrize(("most", "reason"), [(100_000, "read nothing for 2 s"), (20, "reads nothing, and 20 packets")])
async def test_a_broker_that_only_talks(
    ends: tuple[QuickSocket, PlayedBroker], monkeypatch: pytest.MonkeyPatch, most: int, reason: str
) -> None:
    """What it is to be told is not kept for ever, and without end."""
    monkeypatch.setattr(outflow, "_MOST", most)
    async with connected(ends, keep_alive=1) as side:
        await side.link.accepted()
        for _ in range(12):
            side.link.publish("a", b"y" * 1_000_000, b"\0")
        while side.link.is_up:
            side.broker.send("3206 000174 0001 00")
            await anyio.sleep(0.02)
            side.link.acknowledge(1)
        assert reason in side.link.reason
