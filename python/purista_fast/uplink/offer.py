"""What may be called from elsewhere: commands that name this device, run on its own bridge."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import anyio

from .._core import Address
from ..bridges.base import Endpoint, Request
from ..bridges.routes import names
from ..errors import StatusCode, UnhandledError
from .patterns import Patterns

if TYPE_CHECKING:
    from ..bridges import EventBridge
    from ..definition import Command
    from ..service import Service

__all__ = ("Offer", "Offered", "offered")


class Offered(NamedTuple):
    """The part of a service that is offered."""

    name: str
    version: str
    commands: dict[str, Command[..., object]]


def offered(services: Iterable[Service], commands: Patterns) -> list[Offered]:
    """What of these services may be called; services without such a command are left out."""
    found = [
        Offered(
            service.name,
            service.version,
            {name: command for name, command in service.commands.items() if commands.match(command.label)},
        )
        for service in services
    ]
    return [part for part in found if part.commands]


class Offer:
    """Forwards commands.

    :param commands: names and patterns of what may be called.
    :param ready: set once the own bridge can be used.
    """

    def __init__(self, commands: Patterns, ready: anyio.Event) -> None:
        self.refused = 0
        self.local: EventBridge
        """Where they run; set before the start."""
        self.instance_id = ""
        """Of the device, as it is known elsewhere; set before the start."""
        self._commands = commands
        self._ready = ready

    def find(self, receiver: Address) -> Endpoint:
        """What runs a command, or refuses it."""
        # No event: that of the command goes up from the own bridge, like all others.
        address = Address(*names(receiver), self.instance_id)
        is_offered = self._commands.match("/".join(names(receiver)))
        return Endpoint(address=address, execute=self._forward if is_offered else self._refuse)

    async def _refuse(self, request: Request) -> bytes:
        self.refused += 1
        raise UnhandledError(
            StatusCode.FORBIDDEN,
            f"{self.instance_id} does not offer {'/'.join(names(request.receiver))} beyond its uplink: it is not among "
            "its uplink.commands",
            trace_id=request.trace_id,
        )

    async def _forward(self, request: Request) -> bytes:
        end = anyio.current_time() + request.timeout
        with anyio.move_on_after(request.timeout):
            await self._ready.wait()
        if not self._ready.is_set():
            raise UnhandledError(StatusCode.SERVICE_UNAVAILABLE, f"{self.instance_id} is still starting")
        sender = request.sender
        return await self.local.invoke(
            Request(
                # As if it were called from here: answers and events have somewhere to go on the own bridge.
                sender=Address(*names(sender), self.local.instance_id),
                receiver=Address(*names(request.receiver)),
                timeout=max(0.001, end - anyio.current_time()),
                payload=request.payload,
                parameter=request.parameter,
                trace_id=request.trace_id,
                principal_id=request.principal_id,
                tenant_id=request.tenant_id,
                traceparent=request.traceparent,
                event_name=request.event_name,
            )
        )
