"""The command line: ``purista-fast``.

Exit codes: 0 done, 1 a command or a service failed, 2 wrong usage or configuration, 3 the bridge cannot be used,
130 interrupted.
"""

from __future__ import annotations

import sys
from typing import NoReturn

__all__ = ("main",)


def main() -> NoReturn:
    """Runs the command line and exits.

    An application runs for months, click would for a moment: where the line is a plain ``run``, click is not imported.
    """
    from . import plain

    line = plain.parse(sys.argv[1:])
    if line is not None:
        sys.exit(plain.run(line))
    from .commands import main as commands

    sys.exit(commands(prog_name="purista-fast"))
