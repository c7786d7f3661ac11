"""The group of commands: each is imported when it is used, and every error ends in one line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from .failures import report, single
from .output import ClosedPipe, flush, note, tolerate

__all__ = ("Commands", "end")


class Commands(click.Group):
    """Commands that live in modules of this package, each as its attribute ``command``; ``a-b`` in ``a_b``.

    :param modules: their names, in the order of the help text.
    """

    def __init__(self, *args: Any, modules: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._modules = tuple(modules)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names, in order."""
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The command of a name, imported now."""
        if cmd_name not in self._modules:
            return None
        command: click.Command = importlib.import_module(f"{__package__}.{cmd_name.replace('-', '_')}").command
        return command

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the command line and exits; see :mod:`purista_fast.cli` for the codes."""
        kwargs["standalone_mode"] = False
        kwargs["obj"] = options = {"verbose": False}
        tolerate()
        try:
            code = super().main(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - every error gets its line
            code = end(error, verbose=options["verbose"])
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command that was named. What click would make its own of, interruptions and pipes, is told here."""
        try:
            result = super().invoke(ctx)
            flush()
        except KeyboardInterrupt:
            raise _InterruptedError from None
        except OSError as error:
            # A broken connection is an error like others; a pipe that nobody reads is an end.
            flush()
            raise _FailedError from error
        return result


class _InterruptedError(Exception):
    """Ctrl-C."""


class _FailedError(Exception):
    """An ``OSError``, as its cause."""


def end(error: BaseException, *, verbose: bool) -> int:
    """The exit code of an error, having said what is to be said.

    :param verbose: whether the traceback is printed as well.
    """
    error = single(error)
    if isinstance(error, _InterruptedError):
        note("interrupted")
        return 130
    if isinstance(error, ClosedPipe):
        # What is still buffered must not fail once more when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if isinstance(error, _FailedError) and error.__cause__:
        error = error.__cause__
    return report(error, verbose=verbose)
