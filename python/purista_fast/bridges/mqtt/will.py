"""What the broker tells others when an instance disappears."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ..._core import Address, Message, encode
from ...config import BridgeSettings
from .connect import Will
from .expiry import whole_seconds

__all__ = ("make_will",)

_DELAY = 10
"""How long the broker waits for a reconnect before it tells, in seconds."""


def make_will(instance_id: str, services: Sequence[tuple[str, str]], settings: BridgeSettings) -> Will:
    """The will of an instance: it is not ready any more, and these services (name, version) with it."""
    name, version = services[0]
    about = [{"serviceName": service, "serviceVersion": of} for service, of in services]
    message = Message(
        "infoServiceNotReady",
        sender=Address(name, version, "", instance_id),
        payload=msgspec.json.encode({"services": about}),
    )
    return Will(
        topic=message.topic(settings.prefix),
        payload=encode(message),
        delay=_DELAY,
        expiry=whole_seconds(settings.message_expiry),
        content_type=message.content_type,
        user=message.user_properties(),
    )
