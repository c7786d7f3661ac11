"""The log of the command line: one line for each record, on standard error."""

from __future__ import annotations

import logging
import os
import sys
import traceback

from .journal import is_journal, mark
from .output import printable, printable_lines

__all__ = ("OneLine", "set_up")


class OneLine(logging.Formatter):
    """Formats a record as one line; an error in it as its type, text and place.

    :param tracebacks: whether tracebacks follow on lines of their own.
    :param journal: whether it is for the journal, which wants the priority and no time.
    :param worker: the worker whose log it is; 0 where there are none.
    """

    def __init__(self, *, tracebacks: bool = False, journal: bool = False, worker: int = 0) -> None:
        head = "" if journal else "%(asctime)s.%(msecs)03d %(levelname)-7s "
        who = f"worker {worker} " if worker else ""
        super().__init__(f"{head}{who}%(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
        self._tracebacks = tracebacks
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        text = self._format(record)
        return mark(text, record.levelno) if self._journal else text

    def _format(self, record: logging.LogRecord) -> str:
        record.message = record.getMessage()
        record.asctime = self.formatTime(record, self.datefmt)
        text = printable(self.formatMessage(record))
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return text
        if self._tracebacks:
            return text + "\n" + printable_lines("".join(traceback.format_exception(error)).rstrip())
        frames = traceback.extract_tb(error.__traceback__)
        place = (
            f" at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""
        )
        return text + printable(f" [{type(error).__name__}: {error}{place}]")


def set_up(level: str, *, verbose: bool = False, worker: int = 0) -> None:
    """Logs to standard error from this level on, unless the application has set up logging of its own.

    :param level: ``DEBUG``, ``INFO``, ``WARNING`` or ``ERROR``.
    :param verbose: whether tracebacks are written in full.
    :param worker: the worker whose log it is; 0 where there are none.
    """
    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine(tracebacks=verbose, journal=is_journal(sys.stderr), worker=worker))
    root.addHandler(handler)
    root.setLevel(level)
