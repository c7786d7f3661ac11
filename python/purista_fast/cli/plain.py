"""``purista-fast run module:app`` without click, which would stay in memory for as long as the application runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from ..config import load
from . import logs
from .find import find_app
from .output import flush, note, tolerate

__all__ = ("Line", "parse", "run", "start")


class Line(msgspec.Struct, kw_only=True):
    """What the line says."""

    application: str
    bridge: str | None = None
    profile: str | None = None
    config: str | None = None
    backend: str = "asyncio"
    workers: int | None = None
    verbose: bool = False

    def words(self) -> list[str]:
        """The command line that says the same; what needs no saying is left out, for :func:`parse` understands that.

        >>> Line(application="greenhouse:app", workers=2, verbose=True).words()
        ['run', 'greenhouse:app', '--workers', '2', '--verbose']
        """
        options = {name: getattr(self, name) for name in ("bridge", "profile", "config", "workers")}
        if self.backend != "asyncio":
            options["backend"] = self.backend
        given = [word for name, value in options.items() if value is not None for word in (f"--{name}", str(value))]
        return ["run", self.application, *given, *(["--verbose"] if self.verbose else [])]


def parse(words: Sequence[str]) -> Line | None:
    """What a plain ``run`` says: the application, and options that are right.

    ``None`` for every other command, for help, and for whatever may be wrong: click has the say there.

    >>> parse(["run", "greenhouse:app", "--bridge", "mqtt://localhost"]).bridge
    'mqtt://localhost'
    >>> parse(["run", "--help"]), parse(["run"]), parse(["doctor"])
    (None, None, None)
    """
    if not words or words[0] != "run":
        return None
    found: dict[str, Any] = {}
    verbose = False
    rest = iter(words[1:])
    for word in rest:
        if word == "--verbose":
            verbose = True
            continue
        option, _, value = word.partition("=")
        if not word.startswith("-"):
            option, value = "--application", word
        elif option not in ("--bridge", "--profile", "--config", "--workers"):
            return None
        elif option == word:
            value = next(rest, "")
        if not value or value.startswith("-") or option in found:
            return None
        if option == "--workers":
            if not (value.isascii() and value.isdecimal() and 1 <= int(value) <= 999):
                return None
            found[option] = int(value)
        else:
            found[option] = value
    named = {option.removeprefix("--"): value for option, value in found.items()}
    return Line(**named, verbose=verbose) if "application" in named else None


def run(line: Line) -> int:
    """Runs the application and returns the exit code; errors end in one line, as everywhere."""
    tolerate()
    try:
        try:
            start(line)
        finally:
            flush()
    except KeyboardInterrupt:
        note("interrupted")
        return 130
    except Exception as error:  # noqa: BLE001 - every error gets its line
        from .group import end

        return end(error, verbose=line.verbose)
    return 0


def start(line: Line) -> None:
    """Runs the application until Ctrl-C or SIGTERM, or becomes the supervisor of the workers that do.

    :raises click.BadParameter: if there is no such application.
    :raises ConfigError: for settings that are wrong.
    :raises BridgeError: if the bridge cannot start or is lost for good.
    """
    overrides: dict[str, Any] = {"bridge": {"url": line.bridge}} if line.bridge else {}
    if line.workers is not None:
        overrides["app"] = {"workers": line.workers}
    settings = load(line.config, profile=line.profile, overrides=overrides)
    if settings.app.worker:
        from .workers import follow

        follow()
    elif settings.app.workers is not None:
        from .workers import supervise

        supervise(line.words(), settings, settings.app.workers)
    app = find_app(line.application)
    level = "DEBUG" if line.verbose else settings.app.log_level
    logs.set_up(level, verbose=line.verbose, worker=settings.app.worker)
    app.run(profile=line.profile, config=line.config, overrides=overrides, backend=line.backend)
