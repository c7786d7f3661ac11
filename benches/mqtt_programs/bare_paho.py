"""paho-mqtt alone: sends the recorded packets again, and does nothing with what arrives.

It is used as well as it allows: the properties are packed once, one thread drives both sending and receiving (with a
thread of its own, by ``loop_start``, it takes a little more), TCP_NODELAY is on, and its send window is ours.
"""

from __future__ import annotations

import gc
import select
import socket
from collections.abc import Callable
from time import perf_counter
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from benches.mqtt_programs.common import jobs_of_threads, say, settings


class Packed:
    """Properties that are bytes already."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def pack(self) -> bytes:
        return self._data


class Peer:
    """A client, and the loop that drives it."""

    def __init__(self, what: dict[str, Any]) -> None:
        self.sent = what["sends"] and (
            what["sends"]["topic"],
            bytes.fromhex(what["sends"]["payload"]),
            Packed(bytes.fromhex(what["sends"]["properties"])),
        )
        self.on_message: Callable[[], None] = lambda: None
        self.in_flight = 0
        self._is_ready = False
        self.client = client = mqtt.Client(CallbackAPIVersion.VERSION2, what["role"], protocol=mqtt.MQTTv5)
        client.max_inflight_messages_set(0)
        client.on_message = lambda *_: self.on_message()
        client.on_publish = self._published
        client.on_subscribe = self._subscribed
        client.on_socket_open = lambda _client, _data, sock: sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.connect("127.0.0.1", what["port"], clean_start=True)
        while not client.is_connected():
            client.loop()
        client.on_socket_close = None
        self._socket = client.socket()
        if what["takes"]:
            properties = Properties(PacketTypes.SUBSCRIBE)
            properties.SubscriptionIdentifier = what["takes"]["identifier"]
            options = SubscribeOptions(qos=1)
            client.subscribe([(what["takes"]["topic"], options)], properties=properties)
            while not self._is_ready:
                client.loop()

    def publish(self) -> None:
        topic, payload, properties = self.sent
        self.in_flight += 1
        self.client.publish(topic, payload, qos=1, properties=properties)

    def turn(self, timeout: float | None = None) -> bool:
        """Handles what has come; waits for it if there is nothing. False if nothing came in time."""
        if not select.select((self._socket,), (), (), timeout)[0]:
            return False
        self.client.loop_read()
        # What callbacks have queued.
        if self.client.want_write():
            self.client.loop_write()
        return True

    def turn_until(self, is_done: Callable[[], bool]) -> None:
        while not is_done():
            self.turn()

    def _published(self, *_: object) -> None:
        self.in_flight -= 1

    def _subscribed(self, *_: object) -> None:
        self._is_ready = True


def emit(peer: Peer, count: int, in_flight: int) -> float:
    started = perf_counter()
    left = count
    while left or peer.in_flight:
        while left and peer.in_flight < in_flight:
            peer.publish()
            left -= 1
        peer.turn()
    return perf_counter() - started


def consume(peer: Peer, count: int) -> None:
    left = count

    def one() -> None:
        nonlocal left
        left -= 1

    peer.on_message = one
    say("counting")
    peer.turn_until(lambda: not left)
    say("all")


def call(peer: Peer, count: int) -> list[float]:
    """How long each took, in seconds."""
    times = []
    is_answered = False

    def answered() -> None:
        nonlocal is_answered
        is_answered = True

    peer.on_message = answered
    for _ in range(count):
        is_answered = False
        started = perf_counter()
        peer.publish()
        while not is_answered:
            peer.turn()
        times.append(perf_counter() - started)
    peer.turn_until(lambda: not peer.in_flight)
    return times


def main(what: dict[str, Any]) -> None:
    peer = Peer(what)
    say("ready")
    if what["role"] == "server":
        peer.on_message = peer.publish
        peer.client.loop_misc()
        while True:
            peer.turn()
    for job in jobs_of_threads():
        gc.collect()
        peer.client.loop_misc()
        if job["do"] == "emit":
            say(emit(peer, job["count"], job["in_flight"]))
        elif job["do"] == "consume":
            consume(peer, job["count"])
        else:
            say(call(peer, job["count"]))


if __name__ == "__main__":
    main(settings())
