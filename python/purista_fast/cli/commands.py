"""All commands of ``purista-fast``, as click has them."""

from __future__ import annotations

import click

from .group import Commands

__all__ = ("main",)


@click.group(
    cls=Commands,
    modules=(
        "run",
        "invoke",
        "emit",
        "listen",
        "inspect",
        "check",
        "alive",
        "health",
        "retire",
        "outbox",
        "dead-letters",
        "mosquitto",
        "systemd-unit",
        "doctor",
        "bench",
        "demo",
    ),
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.option("--version", is_flag=True, help="Print the version and exit.")
@click.pass_context
def main(ctx: click.Context, version: bool) -> None:
    """Message-driven services in Python, from one device to the cloud."""
    if version:
        from .._core import __version__

        click.echo(f"purista-fast {__version__}")
    elif ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
