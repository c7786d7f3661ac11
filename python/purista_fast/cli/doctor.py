"""``purista-fast doctor``."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from ..config import load
from ..doctor import Examination, Finding, no_broker
from ..mosquitto.rights import enabled_services
from ..urls import public_url
from . import logs, options
from .failures import FAILED, NO_BRIDGE
from .find import find_app
from .output import line, printable

__all__ = ("command",)

_MARKS = {"ok": "ok    ", "warn": "warn  ", "broken": "BROKEN"}
_COLOURS = {"ok": "32", "warn": "33", "broken": "31;1"}


@click.command("doctor")
@click.argument("application", metavar="[MODULE:APP]", required=False)
@click.option(
    "--broker-config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The mosquitto.conf that the broker runs with; without a broker, it alone is checked.",
)
@click.option("--deep", is_flag=True, help="Queue 20,000 messages, and send events that running instances ignore.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON list.")
@options.settings
@options.verbose
def command(
    application: str | None,
    broker_config: Path | None,
    deep: bool,
    as_json: bool,
    bridge: str | None,
    profile: str | None,
    config: str | None,
    verbose: bool,
) -> int:
    """Check a running broker for what breaks the promises, and say what to change.

    With an application, also whether the broker lets it publish and receive what it needs. Nothing is left behind: the
    sessions and messages of the examination are its own, and end with it. Exit code 0 if nothing is broken, 1 if
    something is, 3 if there is no broker.
    """
    logs.set_up("DEBUG" if verbose else "WARNING", verbose=verbose)
    settings = load(config, profile=profile, overrides={"bridge": {"url": bridge}} if bridge else {})
    app = find_app(application) if application else None
    examination = Examination(
        settings=settings,
        services=enabled_services(app, settings) if app else (),
        name=app.name if app else "",
        configuration=broker_config,
        deep=deep,
    )
    if not examination.has_broker and broker_config is None:
        raise click.UsageError(
            f"{public_url(settings.bridge.url)} has no broker to examine: name one with --bridge mqtt://…, or its "
            "configuration with --broker-config"
        )
    findings = []
    for finding in examination.run():
        findings.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        line(msgspec.json.format(msgspec.json.encode(findings), indent=2).decode())
    else:
        _print_summary(findings)
    if no_broker(findings):
        return NO_BRIDGE
    return FAILED if any(finding.level == "broken" for finding in findings) else 0


def _print(finding: Finding) -> None:
    mark = _MARKS[finding.level]
    if sys.stdout.isatty():
        mark = f"\x1b[{_COLOURS[finding.level]}m{mark}\x1b[0m"
    line(f"{mark}  {printable(f'{finding.subject}: {finding.text}')}")
    for word, text in (("change", finding.change), ("or else", finding.cost)):
        if text:
            line(printable(f"{'':8}{word + ':':<9}{text}"))


def _print_summary(findings: list[Finding]) -> None:
    counts = {level: sum(finding.level == level for finding in findings) for level in _MARKS}
    line(f"{counts['broken']} broken, {counts['warn']} to think about, {counts['ok']} ok")
