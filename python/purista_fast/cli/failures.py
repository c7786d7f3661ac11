"""From errors to one line on standard error and an exit code."""

from __future__ import annotations

import logging
import sys
import traceback
from pathlib import Path

import click
import msgspec

from ..errors import BridgeError, ConfigError, DefinitionError, ServiceError
from .journal import is_journal, mark
from .output import note, printable, printable_lines

__all__ = ("FAILED", "NO_BRIDGE", "WRONG_USAGE", "explain", "report", "single")

FAILED = 1
WRONG_USAGE = 2
NO_BRIDGE = 3


def report(error: BaseException, *, verbose: bool) -> int:
    """Prints what went wrong and returns the exit code.

    :param verbose: whether the traceback is printed as well.
    """
    error = single(error)
    if verbose and not isinstance(error, click.UsageError):
        note(printable_lines("".join(traceback.format_exception(error)).rstrip()))
    text, code = explain(error)
    line = f"purista-fast: {printable(text)}"
    note(mark(line, logging.ERROR) if is_journal(sys.stderr) else line)
    return code


def single(error: BaseException) -> BaseException:
    """The error itself, where it came alone in groups; the first one otherwise."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def explain(error: BaseException) -> tuple[str, int]:
    """What to say of an error, and the exit code."""
    if isinstance(error, click.UsageError):
        hint = f" (see {error.ctx.command_path} --help)" if error.ctx else ""
        return error.format_message().rstrip(".") + hint, WRONG_USAGE
    if isinstance(error, click.ClickException):
        return error.format_message(), error.exit_code
    if isinstance(error, ConfigError | DefinitionError):
        return str(error), WRONG_USAGE
    if isinstance(error, BridgeError):
        return str(error), NO_BRIDGE
    if isinstance(error, ServiceError):
        data = "" if error.data is None else " " + _json(error.data)
        trace = f" (trace {error.trace_id})" if error.trace_id else ""
        return f"{int(error.status)} {error.message}{data}{trace}", FAILED
    kind = type(error).__name__
    return f"{kind}: {error}{_place(error)}; --verbose shows the traceback", FAILED


def _json(value: object) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError):
        return repr(value)


def _place(error: BaseException) -> str:
    """Where an error was raised, as file and line."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
