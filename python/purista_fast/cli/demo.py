"""``purista-fast demo``."""

from __future__ import annotations

from functools import partial

import anyio
import click
import msgspec

from . import logs, options
from .output import line, printable

__all__ = ("command",)


@click.command("demo")
@click.option(
    "--seconds", type=click.FloatRange(min=1, max=86_400), default=15, show_default=True, help="How long it runs."
)
@click.option("--json", "as_json", is_flag=True, help="Print nothing but the summary, as JSON.")
@options.settings
@options.backend
@options.verbose
def command(
    seconds: float,
    as_json: bool,
    bridge: str | None,
    profile: str | None,
    config: str | None,
    backend: str,
    verbose: bool,
) -> None:
    """Watch data of this machine flow through services, then see what it cost.

    It runs on memory:// unless --bridge names a broker.
    """
    from ..demo.runner import run
    from ..demo.view import Lines, choose_view

    options.check_backend(backend)
    logs.set_up("DEBUG" if verbose else "WARNING", verbose=verbose)
    view = Lines(_nothing) if as_json else choose_view(line)
    summary = anyio.run(partial(run, seconds, view, bridge=bridge, profile=profile, config=config), backend=backend)
    if as_json:
        line(msgspec.json.encode(summary).decode())
        return
    line("")
    for text in summary.text().splitlines():
        line(printable(text))


def _nothing(_: str) -> None:
    """Shows nothing."""
