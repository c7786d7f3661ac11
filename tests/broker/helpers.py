"""What the tests of the MQTT bridge share: applications on a broker, a peer without purista-fast, a cable to cut."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from purista_fast import App, Client, Service, connect
from tests.mosquitto import Mosquitto
from tests.patience import patient

PATIENCE = patient(15.0)


async def until(condition: Callable[[], Any]) -> None:
    """Waits until a condition holds."""
    with anyio.move_on_after(PATIENCE):
        while not condition():  # noqa: ASYNC110 - there is no event for any condition
            await anyio.sleep(0.005)
    assert condition()


class Bench:
    """Applications on one broker, with topics and a state directory of their own."""

    def __init__(self, broker: Mosquitto, state_dir: Path, **bridge: Any) -> None:
        self.broker = broker
        self.state_dir = state_dir
        self.prefix = bridge.get("prefix", "purista")
        self.bridge: dict[str, Any] = {**broker.bridge, "local_commands": "broker", **bridge}

    def tree(self, **bridge: Any) -> dict[str, Any]:
        return {"bridge": {**self.bridge, **bridge}, "storage": {"state_dir": str(self.state_dir)}}

    @asynccontextmanager
    async def serve(
        self, *services: Service, name: str | None = None, drain: float = 10.0, **bridge: Any
    ) -> AsyncIterator[Client]:
        tree = {**self.tree(**bridge), "app": {"drain_timeout": drain}}
        async with App(*services, name=name).serve(overrides=tree) as client:
            yield client

    @asynccontextmanager
    async def connect(self, **bridge: Any) -> AsyncIterator[Client]:
        async with connect(overrides=self.tree(**bridge)) as client:
            yield client

    @contextmanager
    def peer(self, client_id: str = "") -> Iterator[Peer]:
        peer = Peer(self.broker, client_id)
        try:
            yield peer
        finally:
            peer.close()

    def topic(self, *levels: str) -> str:
        """A topic of thirteen levels; the missing ones are ``none``."""
        return "/".join([self.prefix, *levels, *["none"] * (12 - len(levels))])


class Peer:
    """A client made of paho and json alone."""

    def __init__(self, broker: Mosquitto, client_id: str = "") -> None:
        self.messages: list[paho.MQTTMessage] = []
        self.on_message: Callable[[paho.MQTTMessage], None] = self.messages.append
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5)
        self._client.on_message = lambda _client, _data, message: self.on_message(message)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.connect("127.0.0.1", broker.port, clean_start=True)
        self._client.loop_start()

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(message.payload) for message in list(self.messages)]

    def subscribe(self, text: str) -> None:
        self._subscribed.clear()
        self._client.subscribe(text, qos=1)
        assert self._subscribed.wait(PATIENCE)

    def publish(self, topic: str, payload: bytes | dict[str, Any], *, qos: int = 1, **properties: Any) -> None:
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        made = Properties(PacketTypes.PUBLISH)
        for name, value in properties.items():
            setattr(made, name, value)
        self._client.publish(topic, data, qos=qos, properties=made).wait_for_publish(PATIENCE)

    def send(self, message: paho.MQTTMessage) -> None:
        """Publishes a message that came once more, and waits for nothing: for use when one comes."""
        self._client.publish(message.topic, message.payload, qos=1, properties=message.properties)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Cable:
    """A connection to the broker that can be cut, and mended."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.is_cut = False
        self._flows = threading.Event()
        self._flows.set()
        self.connections = 0
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def cut(self) -> None:
        self.is_cut = True
        self._close_all()

    def mend(self) -> None:
        self.is_cut = False

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Nothing passes within the block, and nobody is told."""
        self._flows.clear()
        try:
            yield
        finally:
            self._flows.set()

    def close(self) -> None:
        self.is_cut = True
        self._flows.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._close_all()
        for thread in self._threads:
            thread.join(PATIENCE)

    def _close_all(self) -> None:
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._sockets.clear()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                if self.is_cut:
                    here.close()
                    continue
                try:
                    there = socket.create_connection(("127.0.0.1", self._target))
                except OSError:  # nobody there: the cable stays
                    here.close()
                    continue
                self.connections += 1
                self._sockets += [here, there]
                for source, sink in [(here, there), (there, here)]:
                    thread = threading.Thread(target=self._pump, args=(source, sink), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
        source.close()


@contextmanager
def cable(port: int) -> Iterator[Cable]:
    """A cable that is closed at the end."""
    made = Cable(port)
    try:
        yield made
    finally:
        made.close()
