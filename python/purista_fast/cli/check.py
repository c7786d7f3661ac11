"""``purista-fast check``."""

from __future__ import annotations

import click
import msgspec

from ..check import Report
from ..check import check as look
from . import options
from .failures import FAILED
from .find import find_app
from .output import line, note, printable

__all__ = ("command",)


@click.command("check")
@click.argument("application", metavar="MODULE:APP")
@click.option("--config", metavar="FILE", help="The configuration file.  [default: purista.toml, if it is there]")
@click.option(
    "--profile", "profiles", metavar="NAME", multiple=True, help="Only this one, as if there were no others. Repeat it."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@options.verbose
def command(application: str, config: str | None, profiles: tuple[str, ...], as_json: bool, verbose: bool) -> int:
    """Check before deployment whether the profiles of an application fit together.

    Whether each profile's settings are right and its bridge can give what its services ask for; whether every command
    that a handler declares to invoke is served where it can be reached, every event that is subscribed is emitted where
    it can be heard, and what [uplink] names is there. No broker is needed, nothing is started. Exit code 0 if nothing
    is wrong, 1 if something is.
    """
    del verbose  # remembered where errors are reported
    report = look(find_app(application), config=config, profiles=profiles)
    if as_json:
        line(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        _print(report)
    return FAILED if report.findings else 0


def _print(report: Report) -> None:
    for finding in report.findings:
        line(printable(f"{finding.profile}: {finding.text}"))
        if finding.change:
            line(printable(f"    change: {finding.change}"))
    where = f"profile{'s' if len(report.profiles) > 1 else ''} {', '.join(report.profiles)}"
    count = len(report.findings)
    line(printable(f"{count or 'nothing'} {'are' if count > 1 else 'is'} wrong in {where} of {report.app}"))
    for labels, what in (
        (report.without_invokes, "handlers that declare no invokes="),
        (report.without_emits, "handlers that declare no emits="),
        (report.any_message, "subscriptions that are not made with an Event"),
    ):
        if labels:
            note(f"not checked: {what}: {len(labels)} (--json names them)")
