"""The live view: a table that refreshes itself on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable

from .figures import Figures
from .messages import Alarm

__all__ = ("Lines", "Table", "View", "choose_view", "describe")


class Lines:
    """A line now and then, and one for what happens."""

    interval = 1.0

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def show(self, figures: Figures, elapsed: float, seconds: float) -> None:
        """Prints how things stand."""
        readings = figures.readings
        values = [f"{r.sensor} {r.value:.1f} {r.unit}" for name in ("cpu", "memory") if (r := readings.get(name))]
        counts = f"{figures.samples:5} samples {figures.digests:3} digests"
        self._write(f"{elapsed:5.1f} of {seconds:g} s  {counts}  {'  '.join(values)}")

    def say(self, text: str) -> None:
        """Prints what has happened."""
        self._write(text)


class Table:
    """All sensors, drawn over and over at the same place."""

    interval = 0.25

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._height = 0
        self._news = ""

    def show(self, figures: Figures, elapsed: float, seconds: float) -> None:
        """Draws the table anew."""
        width, height = shutil.get_terminal_size()
        lines = [f"{'sensor':<18}{'now':>11}{'mean':>11}{'min':>11}{'max':>11}  of a window"]
        for name, reading in sorted(figures.readings.items()):
            found = figures.windows.get(name)
            window = f"{found.mean:11.1f}{found.min:11.1f}{found.max:11.1f}" if found else " " * 33
            lines.append(f"{name[:18]:<18}{reading.value:11.1f}{window}  {reading.unit}")
        del lines[max(height - 4, 1) :]
        lines.append(
            f"{elapsed:.1f} of {seconds:g} s: {figures.samples} samples in, {figures.sample_bytes / 1000:.1f} kB; "
            f"{figures.digests} digests out, {figures.digest_bytes / 1000:.1f} kB"
        )
        lines.append(self._news)
        back = f"\x1b[{self._height}F\x1b[J" if self._height else ""
        self._height = len(lines)
        self._write(back + "\n".join(text[: width - 1] for text in lines))

    def say(self, text: str) -> None:
        """Keeps what has happened for the next drawing."""
        self._news = text


View = Lines | Table


def choose_view(write: Callable[[str], None]) -> View:
    """The view that fits standard output.

    :param write: prints a line.
    """
    return Table(write) if sys.stdout.isatty() else Lines(write)


def describe(found: Alarm) -> str:
    """An alarm in words."""
    relation = "is above" if found.raised else "is back below"
    return f"alarm: {found.sensor} {relation} {found.above:g} {found.unit} (mean {found.mean:g})"
