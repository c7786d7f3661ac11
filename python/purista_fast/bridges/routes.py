"""Commands that run in the process of their caller, and who may want to see the messages they stand for."""

from __future__ import annotations

from collections.abc import Callable

from .._core import Address
from .base import Endpoint

__all__ = ("Route", "names")


class Route:
    """A command, and which of its messages a subscription may want: where there is none, none is made."""

    __slots__ = ("command_is_seen", "endpoint", "error_is_seen", "is_observed", "success_is_seen")

    def __init__(self, endpoint: Endpoint, could_match: Callable[..., bool]) -> None:
        self.endpoint = endpoint
        address = endpoint.address
        self.command_is_seen = could_match("command", receiver=address)
        self.success_is_seen = could_match(
            "commandSuccessResponse", sender=address, event_name=endpoint.success_event or ""
        )
        self.error_is_seen = could_match("commandErrorResponse", sender=address, event_name="")
        self.is_observed = self.command_is_seen or self.success_is_seen or self.error_is_seen


def names(address: Address) -> tuple[str, str, str]:
    """Service, version and target."""
    return address.service_name, address.service_version, address.service_target
