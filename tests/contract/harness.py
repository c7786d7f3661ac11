"""How one kind of bridge is set up for the contract suite, and in what it may differ from the others."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

from purista_fast import App, Client, Service


class Harness:
    """Serves services on one bridge. The flags say what the design lets differ between bridges."""

    unknown_command: ClassVar[int]
    """The status of an invocation that nobody serves."""
    reaches_the_handler: ClassVar[bool]
    """Whether a time-out or a cancellation at the caller cancels the handler as well."""

    def __init__(self, url: str, bridge: Mapping[str, Any], state_dir: Path) -> None:
        self.url = url
        self.bridge = dict(bridge)
        self.state_dir = state_dir

    def tree(self, overrides: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Settings for this bridge, with more of them laid over."""
        tree: dict[str, Any] = {key: dict(value) for key, value in overrides.items()}
        tree["bridge"] = {"url": self.url, **self.bridge, **tree.get("bridge", {})}
        tree["storage"] = {"state_dir": str(self.state_dir), **tree.get("storage", {})}
        return tree

    @asynccontextmanager
    async def serve(
        self, *services: Service, resources: Any = None, **overrides: Mapping[str, Any]
    ) -> AsyncIterator[Client]:
        """An application of these services; ``overrides`` are tables of the settings."""
        async with App(*services, resources=resources).serve(overrides=self.tree(overrides)) as client:
            yield client


class MemoryHarness(Harness):
    """``memory://``"""

    unknown_command = 502
    reaches_the_handler = True


class MqttHarness(Harness):
    """``mqtt://`` and ``mqtts://``"""

    unknown_command = 504
    reaches_the_handler = False
