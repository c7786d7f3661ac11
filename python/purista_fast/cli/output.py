"""What is printed: lines that cannot break a terminal, and an end when nobody reads them."""

from __future__ import annotations

import io
import select
import sys

import anyio

__all__ = (
    "ClosedPipe",
    "flush",
    "line",
    "note",
    "printable",
    "printable_lines",
    "reader_is_gone",
    "tolerate",
    "wait_for_closed_pipe",
)

_POLL_INTERVAL = 0.25


class ClosedPipe(Exception):  # noqa: N818 - an end, not an error
    """Nobody reads standard output any more."""


def tolerate() -> None:
    """Has standard output escape what a terminal without UTF-8 cannot show, instead of failing."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def line(text: str) -> None:
    """Prints a line on standard output at once.

    :raises ClosedPipe: if nobody reads it.
    """
    try:
        sys.stdout.write(text + "\n")
    except BrokenPipeError:
        raise ClosedPipe from None
    flush()


def flush() -> None:
    """Writes out what is buffered.

    :raises ClosedPipe: if nobody reads it.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise ClosedPipe from None


def note(text: str) -> None:
    """Prints a remark on standard error, apart from the data."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def printable(text: str) -> str:
    """The text on one line, with everything escaped that a terminal would obey.

    >>> printable("a\\x1b[2J\\nb")
    'a\\\\x1b[2J\\\\nb'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def printable_lines(text: str) -> str:
    """As :func:`printable`, for a text of several lines.

    >>> printable_lines("a\\x1b[2J\\nb")
    'a\\\\x1b[2J\\nb'
    """
    return "\n".join(map(printable, text.split("\n")))


def reader_is_gone() -> bool:
    """Whether standard output is a pipe that nobody reads any more."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (OSError, ValueError):
        return False  # no file behind it, as in tests


async def wait_for_closed_pipe() -> None:
    """Returns once nobody reads standard output any more, be there something to print or not."""
    while not reader_is_gone():  # noqa: ASYNC110 - nothing else tells
        await anyio.sleep(_POLL_INTERVAL)
