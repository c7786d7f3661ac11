"""``purista-fast systemd-unit``."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from ..config import load
from ..errors import ConfigError
from ..systemd import Plan, render
from . import options
from .find import find_app
from .output import note, printable
from .workers import check

__all__ = ("command",)

_PATH = click.Path(path_type=Path)
_MEMORY = re.compile(r"[1-9]\d*[KMG]|infinity")


def _memory(_: click.Context, __: click.Parameter, value: str) -> str:
    if not _MEMORY.fullmatch(value):
        raise click.BadParameter(f"{value!r} is no size such as 64M or 1G, nor infinity")
    return value


def _absolute(_: click.Context, parameter: click.Parameter, value: tuple[Path, ...]) -> tuple[Path, ...]:
    for path in value:
        if path.parts[:2] != ("/", "dev"):
            raise click.BadParameter(f"{str(path)!r} is no device such as /dev/i2c-1", param=parameter)
    return value


@click.command("systemd-unit")
@click.argument("application", metavar="MODULE:APP")
@click.option("--output", metavar="FILE", type=_PATH, help="Where to write.  [default: standard output]")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("--name", help="Of the unit, its account and its state directory.  [default: the application's]")
@click.option("--venv", metavar="DIR", type=_PATH, help="The virtual environment.  [default: this one]")
@click.option("--directory", metavar="DIR", type=_PATH, help="Where the module is.  [default: the current folder]")
@click.option("--user", help="An account that exists.  [default: one that systemd makes]")
@click.option("--environment-file", metavar="FILE", type=_PATH, help="More variables, such as PURISTA_BRIDGE__URL=…")
@click.option("--memory", metavar="SIZE", default="128M", show_default=True, callback=_memory, help="The limit.")
@click.option(
    "--watchdog",
    metavar="SECONDS",
    type=click.IntRange(0, 3600),
    default=30,
    show_default=True,
    help="After how long without a sign of life it is started anew; 0 for never.",
)
@click.option(
    "--start-limit",
    metavar="COUNT",
    type=click.IntRange(min=0),
    default=0,
    help="Give up after so many starts within ten minutes.  [default: never]",
)
@click.option(
    "--device",
    "devices",
    metavar="DEVICE",
    type=_PATH,
    multiple=True,
    callback=_absolute,
    help="A device that it may use, such as /dev/i2c-1. Repeat it.",
)
@click.option("--group", "groups", metavar="NAME", multiple=True, help="A group that owns a device. Repeat it.")
@click.option("--workers", metavar="COUNT", type=click.IntRange(1, 999), help="As for `purista-fast run`.")
@options.settings
@options.verbose
def command(
    application: str,
    output: Path | None,
    force: bool,
    name: str | None,
    venv: Path | None,
    directory: Path | None,
    environment_file: Path | None,
    bridge: str | None,
    profile: str | None,
    config: str | None,
    workers: int | None,
    verbose: bool,
    **wanted: Any,
) -> None:
    """Write a systemd unit that runs an application: notify, watchdog, restarts, limits, and a sandbox.

    Limits and times follow the settings, without those that this shell has in PURISTA_* variables. The files that
    bridge.password_file and bridge.key_file name may be root's alone.
    """
    del verbose  # remembered where errors are reported
    if bridge is not None and ":" in bridge.partition("//")[2].rpartition("@")[0]:
        raise ConfigError(
            "--bridge: the password in it would be in the unit, which everybody can read; a file with the password is "
            "named by bridge.password_file in the configuration"
        )
    app = find_app(application)
    overrides: dict[str, Any] = {"bridge": {"url": bridge}} if bridge else {}
    if workers is not None:
        overrides["app"] = {"workers": workers}
    settings = load(config, profile=profile, environ={}, overrides=overrides)
    if settings.app.workers is not None:
        check(settings, settings.app.workers)
    place = config and str(Path(config).absolute())
    count = workers and str(workers)
    given = {"--bridge": bridge, "--profile": profile, "--config": place, "--workers": count}
    plan = Plan(
        name=name or re.sub(r"[^a-z0-9_-]+", "-", app.name.lower()),
        application=application,
        program=(venv or Path(sys.prefix)).absolute() / "bin" / "purista-fast",
        directory=(directory or Path()).absolute(),
        environment_file=environment_file and environment_file.absolute(),
        options=tuple(word for option, value in given.items() if value for word in (option, value)),
        **wanted,
    )
    text = render(plan, settings)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        with output.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise click.UsageError(f"{output} is there already; --force replaces it") from None
    except OSError as error:
        raise ConfigError(f"{output} cannot be written: {error.strerror}") from None
    quoted = shlex.quote(str(output))
    note(printable(f"check it: systemd-analyze verify {quoted}"))
    note(printable(f"start it: cp {quoted} /etc/systemd/system/{plan.name}.service && systemctl daemon-reload"))
    note(f"          systemctl enable --now {plan.name}")
