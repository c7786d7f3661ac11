"""``purista-fast invoke``."""

from __future__ import annotations

import sys
from typing import Any

import anyio
import click
import msgspec

from ..definition import Command, untyped
from . import options
from .options import Connection
from .output import line

__all__ = ("command",)


@click.command("invoke")
@click.argument("address", metavar="SERVICE/VERSION/COMMAND")
@click.argument("payload", metavar="[PAYLOAD]", required=False)
@click.option("--parameter", metavar="JSON", default="{}", help="The parameter, a JSON object.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="How long to wait for the answer."
)
@options.origin
@options.connection
def command(
    address: str,
    payload: str | None,
    parameter: str,
    timeout: float | None,
    principal: str | None,
    tenant: str | None,
    trace: str | None,
    connection: Connection,
) -> None:
    """Have a command run and print its result as JSON.

    PAYLOAD is JSON, or - for standard input; a command without a payload needs none.
    """
    called, arguments = _call(address, payload, parameter)

    async def main() -> Any:
        async with connection.open("invoke") as client:
            acting = client.acting(principal_id=principal, tenant_id=tenant, trace_id=trace)
            return await acting.invoke(called.using(timeout=timeout), *arguments[0], **arguments[1])

    result = msgspec.json.encode(anyio.run(main))
    line(msgspec.json.format(result, indent=2 if sys.stdout.isatty() else 0).decode())


def _call(
    address: str, payload: str | None, parameter: str
) -> tuple[Command[..., Any], tuple[list[Any], dict[str, Any]]]:
    """The command of an address, and the arguments to call it with."""
    parts = address.split("/")
    if len(parts) != 3 or not all(parts):
        raise click.BadParameter(f"{address!r} is not of the form Service/version/command, such as Thermo/1/store")
    named = options.json_value(parameter, "parameter")
    if not isinstance(named, dict):
        raise click.BadParameter(f'the parameter must be a JSON object such as {{"site": "attic"}}, not {parameter}')
    arguments = [] if payload is None else [options.json_value(payload, "payload")]
    return untyped(*parts, parameters=named), (arguments, named)
