"""Message-driven services in Python, from one device to the cloud."""

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
from .health import Health
from .policy import Retry
from .presence import Instance
from .service import Service

__all__ = (
    "Address",
    "App",
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
    "remote",
)
