"""``purista-fast run``."""

from __future__ import annotations

from typing import Any

import click

from . import options, plain

__all__ = ("command",)


@click.command("run")
@click.argument("application", metavar="MODULE:APP")
@click.option(
    "--workers",
    type=click.IntRange(1, 999),
    metavar="N",
    help="Run so many processes that share the load over the broker, and start again those that die.",
)
@options.settings
@options.backend
@options.verbose
def command(backend: str, **said: Any) -> None:
    """Run an application until Ctrl-C or SIGTERM; what is under way is finished first."""
    options.check_backend(backend)
    plain.start(plain.Line(backend=backend, **said))
