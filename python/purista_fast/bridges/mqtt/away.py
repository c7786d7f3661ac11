"""What is different for a bridge that is the uplink of another one, and not an application's own."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ..._core import Address
from ..base import Endpoint

__all__ = ("Away", "Urgency")

_NAMES = 10_000
"""How many names are remembered."""


class Urgency:
    """Which events go first, and how long each is worth sending.

    :param find: gives priority and age (in seconds; ``None`` for that of the outbox) for the name of an event.
    """

    def __init__(self, find: Callable[[str], tuple[int, float | None]]) -> None:
        self._find = find
        self._found: dict[str, tuple[int, float | None]] = {}

    def priority(self, name: str) -> int:
        """The higher goes first."""
        return self._look_up(name)[0]

    def max_age(self, name: str) -> float | None:
        """How old it may become, in seconds; ``None`` for as old as others."""
        return self._look_up(name)[1]

    def _look_up(self, name: str) -> tuple[int, float | None]:
        found = self._found.get(name)
        if found is None:
            if len(self._found) >= _NAMES:
                self._found.clear()
            found = self._found[name] = self._find(name)
        return found


class Away(msgspec.Struct, frozen=True, kw_only=True):
    """An uplink: it takes only commands that name this instance, and never ends for a reason that others may mend."""

    find: Callable[[Address], Endpoint]
    """Gives what runs, or refuses, a command that the bridge does not serve itself."""
    urgency: Urgency
    services: tuple[tuple[str, str], ...]
    """Name and version of what is announced there."""
