"""What the tests of the uplink share: a cloud, and devices on ``memory://`` or on a broker of their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from purista_fast import App, Client, Context, Event, Service
from tests.broker.helpers import Peer, until
from tests.mosquitto import Mosquitto

__all__ = ("Sides", "events_of", "listener")

_numbers = count(1)


class Sides:
    """A broker in the cloud, and what the devices run on.

    :param local: the broker of the devices; ``None`` for ``memory://``. Each device has topics of its own on it.
    """

    def __init__(self, cloud: Mosquitto, local: Mosquitto | None, state_dir: Path) -> None:
        self.broker = cloud
        self.local = local
        self.state_dir = state_dir
        self.prefix = f"cloud{next(_numbers)}"

    def tree(self, name: str, port: int | None = None, bridge: dict[str, Any] | None = None, **uplink: Any) -> Any:
        """The settings of a device."""
        url = f"mqtt://127.0.0.1:{port}" if port else self.broker.url
        own = {"url": "memory://"} if self.local is None else {**self.local.bridge, "prefix": f"{self.prefix}_{name}"}
        return {
            "bridge": {**own, "instance_id": name, **(bridge or {})},
            "storage": {"state_dir": str(self.state_dir / name)},
            "uplink": {"url": url, "prefix": self.prefix, **uplink},
        }

    @asynccontextmanager
    async def device(
        self,
        *services: Service,
        name: str = "greenhouse_7",
        port: int | None = None,
        bridge: dict[str, Any] | None = None,
        **uplink: Any,
    ) -> AsyncIterator[Client]:
        """A device.

        :param port: of the cloud, where it is not reached directly.
        :param uplink: its section.
        """
        tree = self.tree(name, port, bridge, **uplink)
        async with App(*services, name="Device").serve(overrides=tree) as client:
            if port is None:  # a start does not wait for the cloud
                await until(lambda: client.statistics()["uplink"]["connected"])
            yield client

    @asynccontextmanager
    async def cloud(self, *services: Service, name: str = "cloud") -> AsyncIterator[Client]:
        """An application in the cloud."""
        tree = {
            "bridge": {**self.broker.bridge, "instance_id": name, "prefix": self.prefix},
            "storage": {"state_dir": str(self.state_dir / "cloud")},
        }
        async with App(*services, name="Cloud").serve(overrides=tree) as client:
            yield client

    @contextmanager
    def peer(self) -> Iterator[Peer]:
        """A plain client of the broker in the cloud that hears all there is."""
        peer = Peer(self.broker)
        try:
            peer.subscribe(f"{self.prefix}/#")
            yield peer
        finally:
            peer.close()


def listener(name: str, *events: str, **options: Any) -> tuple[Service, list[tuple[str, Any]]]:
    """A service that notes event and payload of all it hears."""
    service, heard = Service(name), []

    def subscribe(event: str) -> None:
        @service.subscription(Event(event), name=f"on_{event}", **options)
        async def on(ctx: Context, payload: Any) -> None:
            heard.append((event, payload))

    for event in events:
        subscribe(event)
    return service, heard


def events_of(peer: Peer) -> list[dict[str, Any]]:
    """The events that a peer has heard."""
    return [body for body in peer.bodies if body.get("eventName") not in (None, "whoIsAlive")]
