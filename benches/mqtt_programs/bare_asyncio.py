"""gmqtt and aiomqtt alone: send the recorded messages again, and do nothing with what arrives.

gmqtt sends the very packets: the properties are packed once. aiomqtt's codec (mqtt5, in Rust) makes each packet anew,
with the same topic, payload and properties, in an order of its own. Each is used as well as it allows.
"""

from __future__ import annotations

import asyncio
import gc
import socket
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Any

from benches.mqtt_programs.common import jobs, say, settings


def nothing() -> None: ...


class Gmqtt:
    """gmqtt hands out each message by a call, and sends without waiting; a PUBACK only its storage learns."""

    def __init__(self, what: dict[str, Any]) -> None:
        import gmqtt
        from gmqtt.mqtt.package import PublishPacket

        self.on_message: Callable[[], None] = nothing
        self.on_acknowledged: Callable[[], None] = nothing
        self._what = what
        self._sends = what["sends"]
        peer = self

        class Client(gmqtt.Client):
            def _remove_message_from_queue(self, mid: int) -> None:
                super()._remove_message_from_queue(mid)
                peer.on_acknowledged()

        if self._sends:
            packed = bytearray(bytes.fromhex(self._sends["properties"]))
            PublishPacket._build_properties_data = classmethod(lambda *_, **__: packed)
            self._message = gmqtt.Message(self._sends["topic"], bytes.fromhex(self._sends["payload"]), qos=1)
        self._client = Client(what["role"], clean_session=True, receive_maximum=65_535, optimistic_acknowledgement=True)
        self._client.on_message = lambda *_: self.on_message()

    async def start(self) -> None:
        await self._client.connect("127.0.0.1", self._what["port"], keepalive=60)
        transport = self._client._connection._transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._what["takes"]:
            done = asyncio.Event()
            self._client.on_subscribe = lambda *_: done.set()
            takes = self._what["takes"]
            self._client.subscribe(takes["topic"], qos=1, subscription_identifier=takes["identifier"])
            await done.wait()

    def send(self) -> None:
        self._client.publish(self._message)


class Aiomqtt:
    """aiomqtt has each message acknowledged by hand, and awaits the PUBACK of each that it sends, in a task."""

    def __init__(self, what: dict[str, Any]) -> None:
        import aiomqtt
        from mqtt5 import PublishPacket, QoS, read

        self.on_message: Callable[[], None] = nothing
        self.on_acknowledged: Callable[[], None] = nothing
        self._what = what
        self._client = aiomqtt.Client(
            hostname="127.0.0.1", port=what["port"], identifier=what["role"], clean_start=True
        )
        self._qos = QoS.AT_LEAST_ONCE
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ids: Any = None
        if what["sends"]:
            # What mqtt5 makes of the recorded packet, once.
            topic, payload = what["sends"]["topic"].encode(), bytes.fromhex(what["sends"]["payload"])
            body = (
                len(topic).to_bytes(2, "big") + topic + b"\0\1" + bytes.fromhex(what["sends"]["properties"]) + payload
            )
            length, head = len(body), bytearray(b"\x32")
            while length > 127:
                head.append(length & 0x7F | 0x80)
                length >>= 7
            head.append(length)
            found, _ = read(memoryview(bytes(head) + body))
            assert isinstance(found, PublishPacket)
            self._message = (found.topic, found.payload)
            self._options = {
                "message_expiry_interval": found.message_expiry_interval,
                "content_type": found.content_type,
                "correlation_data": found.correlation_data,
                "user_properties": found.user_properties,
            }

    async def start(self) -> None:
        await self._client.__aenter__()
        self._ids = self._client.packet_ids
        self._run(self._receive())
        if self._what["takes"]:
            takes = self._what["takes"]
            await self._client.subscribe(
                takes["topic"], max_qos=self._qos, retain_as_published=False, subscription_id=takes["identifier"]
            )

    def send(self) -> None:
        self._run(self._publish())

    async def _publish(self) -> None:
        await self._client.publish(*self._message, qos=self._qos, packet_id=next(self._ids), **self._options)
        self.on_acknowledged()

    async def _receive(self) -> None:
        async for message in self._client.messages():
            await self._client.puback(message.packet_id)
            self.on_message()

    def _run(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


Peer = Gmqtt | Aiomqtt


async def many(peer: Peer, count: int, in_flight: int, *, is_call: bool) -> float:
    """How long it took to send so many and get an answer, or an acknowledgement, for each."""
    left, open_now = count, 0
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def more() -> None:
        nonlocal left, open_now
        while left and open_now < in_flight:
            left -= 1
            open_now += 1
            peer.send()

    def one_less() -> None:
        nonlocal open_now
        open_now -= 1
        if left:
            more()
        elif not open_now and not done.done():
            done.set_result(None)

    if is_call:
        peer.on_message = one_less
    else:
        peer.on_acknowledged = one_less
    started = perf_counter()
    more()
    await done
    return perf_counter() - started


async def one_by_one(peer: Peer, count: int) -> list[float]:
    """How long each call took, in seconds."""
    waiting: deque[asyncio.Future[None]] = deque()
    peer.on_message = lambda: waiting.popleft().set_result(None)
    times = []
    for _ in range(count):
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append(answered)
        started = perf_counter()
        peer.send()
        await answered
        times.append(perf_counter() - started)
    return times


async def consume(peer: Peer, count: int) -> None:
    left = count
    done = asyncio.Event()

    def one() -> None:
        nonlocal left
        left -= 1
        if not left:
            done.set()

    peer.on_message = one
    say("counting")
    await done.wait()
    say("all")


async def main(what: dict[str, Any]) -> None:
    peer: Peer = {"gmqtt": Gmqtt, "aiomqtt": Aiomqtt}[what["library"]](what)
    await peer.start()
    if what["role"] == "server":
        peer.on_message = peer.send
    say("ready")
    async for job in jobs():
        gc.collect()
        if job["do"] == "consume":
            await consume(peer, job["count"])
        elif job["do"] == "call" and job["in_flight"] == 1:
            say(await one_by_one(peer, job["count"]))
        else:
            say(await many(peer, job["count"], job["in_flight"], is_call=job["do"] == "call"))


if __name__ == "__main__":
    asyncio.run(main(settings()))
