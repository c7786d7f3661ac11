"""``purista-fast emit``."""

from __future__ import annotations

import anyio
import click

from ..definition import check_name
from . import options
from .options import Connection

__all__ = ("command",)


@click.command("emit")
@click.argument("event")
@click.argument("payload", metavar="[PAYLOAD]", required=False)
@options.origin
@options.connection
def command(
    event: str,
    payload: str | None,
    principal: str | None,
    tenant: str | None,
    trace: str | None,
    connection: Connection,
) -> None:
    """Emit an event; done when the bridge has taken it over.

    PAYLOAD is JSON, or - for standard input; null if it is left out.
    """
    name = check_name(event, "an event")
    value = None if payload is None else options.json_value(payload, "payload")

    async def main() -> None:
        async with connection.open("emit") as client:
            await client.acting(principal_id=principal, tenant_id=tenant, trace_id=trace).emit(name, value)

    anyio.run(main)
