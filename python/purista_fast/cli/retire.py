"""``purista-fast retire``."""

from __future__ import annotations

from typing import Any

import anyio
import click
import msgspec

from ..bridges.mqtt.retire import Retired
from ..config import load
from . import logs, options
from .failures import FAILED
from .find import find_app
from .output import line, note

__all__ = ("command",)

_seconds = click.FloatRange(min=0, min_open=True)


@click.command("retire")
@click.argument("application", metavar="MODULE:APP")
@click.option(
    "--quiet",
    type=_seconds,
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Nothing waits any more once nothing has come for so long.",
)
@click.option(
    "--timeout", type=_seconds, default=60.0, show_default=True, metavar="SECONDS", help="How long all may take."
)
@click.option("--instance", metavar="ID", help="Which instance, in place of that of the settings; such as a worker.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
@options.settings
@options.backend
@options.verbose
def command(
    application: str,
    quiet: float,
    timeout: float,
    instance: str | None,
    as_json: bool,
    bridge: str | None,
    profile: str | None,
    config: str | None,
    backend: str,
    verbose: bool,
) -> int:
    """End an instance of an application for good.

    It must not run. Which one is said by --instance, or by the settings: bridge.instance_id, or the one that is kept
    in the state directory. What still waits for it is handled here, its share of the events goes to the other
    instances from now on, and neither the broker nor the state directory keeps anything of it. What cannot be finished
    in time is kept, and the exit code is 1.
    """
    app = find_app(application)
    overrides: dict[str, Any] = {"bridge": {"url": bridge} if bridge else {}}
    if instance is not None:
        overrides["bridge"]["instance_id"] = instance
        overrides["app"] = {"worker": 0}
    found = load(config, profile=profile, overrides=overrides)
    if found.app.workers is not None and instance is None and not found.app.worker:
        raise click.UsageError("this application runs as workers, each an instance: name one by --instance")
    logs.set_up("DEBUG" if verbose else found.app.log_level, verbose=verbose)
    options.check_backend(backend)

    async def main() -> Retired:
        return await app.retire(profile=profile, config=config, overrides=overrides, quiet=quiet, timeout=timeout)

    outcome = anyio.run(main, backend=backend)
    line(msgspec.json.encode(outcome).decode() if as_json else _readable(outcome))
    if outcome.is_done:
        return 0
    for text in _left(outcome):
        note(text)
    return FAILED


def _readable(outcome: Retired) -> str:
    end = "has ended for good" if outcome.is_done else "has not ended"
    return f"instance {outcome.instance_id} {end}; {outcome.handled} messages that waited for it were handled"


def _left(outcome: Retired) -> list[str]:
    """What is left, for people."""
    found = []
    if not outcome.is_ended:
        found.append("the broker keeps its session: messages came until the time was over; try a longer --timeout")
    if outcome.outbox:
        found.append(f"{outcome.outbox} messages are not sent yet")
    if outcome.retries:
        found.append(f"{outcome.retries} messages wait for another attempt of their handler")
    if outcome.dead_letters:
        found.append(f"{outcome.dead_letters} dead letters are left")
    if outcome.kept:
        found.append(f"its state is kept in {outcome.kept}")
    return found
