"""``purista-fast run``."""

from __future__ import annotations

import click

from . import options, plain

__all__ = ("command",)


@click.command("run")
@click.argument("application", metavar="MODULE:APP")
@options.settings
@options.backend
@options.verbose
def command(
    application: str, bridge: str | None, profile: str | None, config: str | None, backend: str, verbose: bool
) -> None:
    """Run an application until Ctrl-C or SIGTERM; what is under way is finished first."""
    options.check_backend(backend)
    plain.start(
        plain.Line(
            application=application, bridge=bridge, profile=profile, config=config, backend=backend, verbose=verbose
        )
    )
