"""``purista-fast inspect``."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from ..config import load
from . import options
from .describe import describe
from .find import find_app
from .output import line, printable

__all__ = ("command",)


@click.command("inspect")
@click.argument("application", metavar="MODULE:APP")
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON, schemas included.")
@options.settings
@options.verbose
def command(
    application: str, as_json: bool, bridge: str | None, profile: str | None, config: str | None, verbose: bool
) -> None:
    """Print what an application consists of: services, commands, subscriptions, timers, schemas, topics."""
    del verbose  # remembered where errors are reported
    app = find_app(application)
    settings = load(config, profile=profile, overrides={"bridge": {"url": bridge}} if bridge else {})
    found = describe(app, settings)
    if as_json:
        line(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    for service in found["services"]:
        _print_service(service)


def _print_service(service: dict[str, Any]) -> None:
    about = "" if service["enabled"] else " (not enabled)"
    if service["description"]:
        about += f"  {_first_line(service['description'])}"
    line(printable(f"{service['name']}/{service['version']}{about}"))
    rows: list[tuple[str, str, str, str]] = []
    for config in service["config"]:
        default = f" = {config['default']}" if config["default"] else ""
        rows.append(("config", config["name"], config["type"] + default, ""))
    for command in service["commands"]:
        takes = ", ".join(filter(None, [command["payloadType"], *command["parameterTypes"]]))
        event = f"  emits {command['successEvent']}" if command["successEvent"] else ""
        rows.append(("command", command["name"], f"({takes}) → {command['resultType']}{event}", command["topicFilter"]))
    for found in service["subscriptions"]:
        event = f" → {found['resultEvent']}" if found["resultEvent"] else ""
        rows.append(("subscription", found["name"], f"{_wanted(found)}{event}", " ".join(found["topicFilters"])))
    for timer in service["timers"]:
        runs = ", ".join(timer.get("nextRuns", ()))
        rows.append(("timer", timer["name"], _schedule(timer), f"next {runs}" if runs else timer.get("problem", "")))
    widths = [max(len(row[column]) for row in rows) for column in range(2)] if rows else []
    for kind, name, what, topic in rows:
        line(printable(f"  {kind:<{widths[0]}}  {name:<{widths[1]}}  {what}"))
        if topic:
            line(printable(" " * (sum(widths) + 6) + topic))
    line("")


def _schedule(timer: dict[str, Any]) -> str:
    """When a timer runs; what the configuration says in place of that it does."""
    text: str = timer["schedule"]
    if "interval" in timer:
        return text.replace("by the configuration", f"every {timer['interval']:g} s")
    return text.replace("by the configuration", timer["cron"]) if "cron" in timer else text


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]


def _wanted(subscription: dict[str, Any]) -> str:
    """What a subscription listens to, in short."""
    parts = [subscription["payloadType"]] if subscription["payloadType"] else []
    parts += [f"{key} {_value(value)}" for key, value in subscription["filter"].items()]
    if subscription["messageTypes"]:
        parts.append("in " + " or ".join(subscription["messageTypes"]))
    if not subscription["shared"]:
        parts.append("every instance")
    if batch := subscription["batch"]:
        parts.append(f"up to {batch['maxItems']} together within {batch['within']:g} s")
    return ", ".join(parts)


def _value(value: Any) -> str:
    return "/".join(f"{key}={part}" for key, part in value.items()) if isinstance(value, dict) else str(value)
