"""Message-driven services in Python, from one device to the cloud."""

from typing import TYPE_CHECKING, Any

from . import later as later  # before asyncio comes
from ._core import Address, Message, __version__
from .app import App, connect
from .client import Client
from .context import Context
from .definition import Command, Event, Guard, Subscription, remote
from .errors import (
    BridgeError,
    ConfigError,
    DefinitionError,
    HandledError,
    PayloadError,
    PuristaError,
    ServiceError,
    StatusCode,
    UnhandledError,
)
from .policy import Batch, Retry
from .presence import Instance
from .service import Service

if TYPE_CHECKING:
    from .fan_out import each
    from .health import Health

__all__ = (
    "Address",
    "App",
    "Batch",
    "BridgeError",
    "Client",
    "Command",
    "ConfigError",
    "Context",
    "DefinitionError",
    "Event",
    "Guard",
    "HandledError",
    "Health",
    "Instance",
    "Message",
    "PayloadError",
    "PuristaError",
    "Retry",
    "Service",
    "ServiceError",
    "StatusCode",
    "Subscription",
    "UnhandledError",
    "__version__",
    "connect",
    "each",
    "remote",
)


def __getattr__(name: str) -> Any:
    """What most applications do without is imported when it is used."""
    if name == "Health":
        from .health import Health

        return Health
    if name == "each":
        from .fan_out import each

        return each
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
