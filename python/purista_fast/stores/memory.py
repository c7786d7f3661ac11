"""States that are gone with the process: for tests, and for what is worth nothing after a restart."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import StatusCode, UnhandledError
from ..storage.clock import PoweredClock
from .states import add

__all__ = ("MemoryStates",)

_OVERHEAD = 100
"""What an entry takes beside its key and value, in bytes; about."""


class _Entry(NamedTuple):
    value: bytes
    expires: float | None


class MemoryStates:
    """Keeps states in memory; time to live is counted by the monotonic clock.

    :param max_bytes: how much is kept.
    """

    def __init__(self, max_bytes: int, clock: PoweredClock | None = None) -> None:
        self._max_bytes = max_bytes
        self._clock = clock or PoweredClock("never")
        self._entries: dict[tuple[str, str], _Entry] = {}
        self._size = 0

    async def get(self, service: str, key: str) -> bytes | None:
        """See :class:`purista_fast.stores.states.StateStore`."""
        found = self._find(service, key)
        return None if found is None else found.value

    async def set(self, service: str, key: str, value: bytes, ttl: float | None) -> None:
        """As above.

        :raises UnhandledError: 507 if there is no room.
        """
        self.put(service, key, value, ttl)

    def put(self, service: str, key: str, value: bytes, ttl: float | None = None) -> None:
        """The same for those who cannot wait.

        :raises UnhandledError: 507 if there is no room.
        """
        self._put(service, key, _Entry(value, None if ttl is None else self._clock.now().powered + ttl))

    async def remove(self, service: str, key: str) -> bool:
        """As above."""
        return self._find(service, key) is not None and self._drop((service, key))

    async def compare_and_set(
        self, service: str, key: str, expected: bytes | None, value: bytes, ttl: float | None
    ) -> bool:
        """As above.

        :raises UnhandledError: 507 if there is no room.
        """
        found = self._find(service, key)
        if (None if found is None else found.value) != expected:
            return False
        self.put(service, key, value, ttl)
        return True

    async def increment(self, service: str, key: str, by: float, ttl: float | None) -> int | float:
        """As above.

        :raises TypeError: if there is something else than a number.
        :raises OverflowError: if the sum is too large.
        :raises UnhandledError: 507 if there is no room.
        """
        found = self._find(service, key)
        value, total = add(None if found is None else found.value, by, f"{service}/{key}")
        if found is None:
            self.put(service, key, value, ttl)
        else:
            self._put(service, key, found._replace(value=value))
        return total

    async def close(self) -> None:
        """As above."""
        self._entries.clear()

    def _find(self, service: str, key: str) -> _Entry | None:
        found = self._entries.get((service, key))
        if found is not None and self._is_over(found):
            self._drop((service, key))
            return None
        return found

    def _is_over(self, entry: _Entry) -> bool:
        return entry.expires is not None and entry.expires <= self._clock.now().powered

    def _put(self, service: str, key: str, entry: _Entry) -> None:
        place = (service, key)
        before = self._entries.get(place)
        more = _size(place, entry) - (_size(place, before) if before else 0)
        if self._size + more > self._max_bytes:
            for other in [other for other, found in self._entries.items() if other != place and self._is_over(found)]:
                self._drop(other)
        if self._size + more > self._max_bytes:
            raise UnhandledError(
                StatusCode.INSUFFICIENT_STORAGE,
                f"state {service}/{key}: there is no room for it: states.max_bytes allows {self._max_bytes} bytes. "
                "Remove states, give them a ttl, or allow more",
            )
        self._entries[place] = entry
        self._size += more

    def _drop(self, place: tuple[str, str]) -> bool:
        entry = self._entries.pop(place)
        self._size -= _size(place, entry)
        return True


def _size(place: tuple[str, str], entry: _Entry) -> int:
    return len(place[0]) + len(place[1]) + len(entry.value) + _OVERHEAD
