"""``purista-fast run``."""

from __future__ import annotations

import click

from ..config import load
from . import logs, options
from .find import find_app

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
    app = find_app(application)
    overrides = {"bridge": {"url": bridge}} if bridge else {}
    found = load(config, profile=profile, overrides=overrides)
    logs.set_up("DEBUG" if verbose else found.app.log_level, verbose=verbose)
    options.check_backend(backend)
    app.run(bridge=bridge, profile=profile, config=config, backend=backend)
