"""What a service keeps by key: ``ctx.states``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

import msgspec

from ..arguments import encode_payload
from ..errors import PayloadError, StatusCode, UnhandledError
from ..schema import Codec, problems

if TYPE_CHECKING:
    from . import Stores

__all__ = ("MAX_KEY", "StateStore", "States")

T = TypeVar("T")
D = TypeVar("D")
_ANY: Codec[Any] = Codec(Any)
MAX_KEY = 256
"""How many characters a key may have."""
_LONGEST = 1e11
"""The longest time to live, in seconds: some 3,000 years."""


class StateStore(Protocol):
    """Where states are kept: what an adapter gives.

    An adapter is a function of ``states.url`` and the settings that gives one of these, found by an entry point in the
    group ``purista_fast.states`` that has the scheme of the URL as its name. Values are JSON. What it raises reaches
    the handler; :class:`purista_fast.UnhandledError` with a status says most.
    """

    async def get(self, service: str, key: str) -> bytes | None:
        """The value, if there is one that has not expired."""
        ...

    async def set(self, service: str, key: str, value: bytes, ttl: float | None) -> None:
        """Keeps a value, for so many seconds; it is kept when this returns."""
        ...

    async def remove(self, service: str, key: str) -> bool:
        """Takes a value away; whether there was one."""
        ...

    async def compare_and_set(
        self, service: str, key: str, expected: bytes | None, value: bytes, ttl: float | None
    ) -> bool:
        """Sets the value if the present one is, byte for byte, the expected one or none; whether it did. Atomic."""
        ...

    async def increment(self, service: str, key: str, by: float, ttl: float | None) -> int | float:
        """Adds to a number, 0 if there is none, by :func:`add`; the sum. Atomic.

        :param ttl: counts from the first of them: a value that is there keeps its time to live.
        """
        ...

    async def close(self) -> None:
        """Is called once, at the end."""
        ...


class States:
    """What a service keeps by key: ``ctx.states``, and ``client.states`` for the client itself.

    A value is anything that JSON can be made of. Each service has keys of its own; instances of one application on one
    device, with one state directory, have them in common. When a method returns, what it did is on disk.

    >>> import anyio
    >>> from purista_fast import testing
    >>> async def main():
    ...     states = testing.context(states={"limit": 30}).states
    ...     await states.set("limit", await states.get("limit", type=int) + 1, ttl=60.0)
    ...     return await states.get("limit"), await states.increment("seen"), await states.remove("limit")
    >>> anyio.run(main)
    (31, 1, True)

    All methods raise :class:`purista_fast.UnhandledError` if the store cannot be used: 507 if it or the disk is full,
    else 503, with the file and what to do; and ``ValueError`` for a key that is no text of 1 to 256 characters.
    """

    __slots__ = ("_service", "_stores")

    def __init__(self, stores: Stores, service: str) -> None:
        self._stores = stores
        self._service = service

    def __repr__(self) -> str:
        return f"<states of {self._service or 'the application'}>"

    def of(self, service: str) -> States:
        """What another service keeps, by its name: for tools, and for services that belong together."""
        return self._stores.states(service)

    @overload
    async def get(self, key: str, *, type: type[T]) -> T | None: ...
    @overload
    async def get(self, key: str, *, type: type[T], default: D) -> T | D: ...
    @overload
    async def get(self, key: str, *, type: Any = ..., default: Any = ...) -> Any: ...
    async def get(self, key: str, *, type: Any = Any, default: Any = None) -> Any:
        """The value of a key.

        :param type: what it is read as; anything unless given.
        :param default: what to give if there is none, or it has expired.
        :raises PayloadError: if the value is not of that type.
        """
        data = await self._stores.store().get(self._service, _checked(key))
        return default if data is None else self._decode(key, data, type)

    async def set(self, key: str, value: Any, *, ttl: float | None = None) -> None:
        """Keeps a value, in place of one that may be there.

        :param ttl: after how many seconds it is gone; ``None`` keeps it. See :class:`purista_fast.storage.clock` for
            what happens to clocks.
        :raises PayloadError: if no JSON can be made of the value.
        :raises UnhandledError: 413 if it is larger than ``states.max_value_size``; 507 if there is no room.
        :raises ValueError: if ``ttl`` is not above 0, or above 1e11.
        """
        data = self._encode(_checked(key), value)
        await self._stores.store().set(self._service, key, data, _seconds(ttl))

    async def remove(self, key: str) -> bool:
        """Takes a value away; whether there was one."""
        return await self._stores.store().remove(self._service, _checked(key))

    async def increment(self, key: str, by: float = 1, *, ttl: float | None = None) -> int | float:
        """Adds to a number, atomically, and gives the sum. What is not there counts as 0.

        :param ttl: after how many seconds it is gone, from the first increment on: the others leave that as it is.
        :raises TypeError: if there is something else than a number.
        :raises OverflowError: if the sum is no number that JSON has, or an integer of more than 64 bits.
        """
        return await self._stores.store().increment(self._service, _checked(key), by, _seconds(ttl))

    async def compare_and_set(self, key: str, expected: Any, value: Any, *, ttl: float | None = None) -> bool:
        """Keeps a value if the present one equals ``expected``, atomically; whether it did.

        :param expected: compared as JSON; ``None`` also stands for no value at all.
        :param ttl: as for :meth:`set`.
        :raises PayloadError: if no JSON can be made of one of them.
        :raises UnhandledError: as for :meth:`set`.
        """
        store, wanted = self._stores.store(), _ANY.decode(self._encode(_checked(key), expected))
        data = self._encode(key, value)
        while True:
            present = await store.get(self._service, key)
            if not _same(None if present is None else self._decode(key, present, Any), wanted):
                return False
            if await store.compare_and_set(self._service, key, present, data, _seconds(ttl)):
                return True

    async def update(
        self,
        key: str,
        change: Callable[[Any], T],
        *,
        type: Any = Any,
        default: Any = None,
        ttl: float | None = None,
    ) -> T:
        """Makes a new value of the present one, atomically, and gives it.

        >>> import anyio
        >>> from purista_fast import testing
        >>> async def main():
        ...     states = testing.context().states
        ...     return await states.update("last", lambda last: [*last, 21.5][-3:], default=[])
        >>> anyio.run(main)
        [21.5]

        :param change: a plain function of the present value. It runs again if another has changed it meanwhile.
        :param type: what the present value is read as.
        :param default: what the function gets if there is none.
        :param ttl: as for :meth:`set`.
        :raises PayloadError: if the present value is not of that type, or no JSON can be made of the new one.
        :raises UnhandledError: as for :meth:`set`.
        :raises TypeError: if the function is async.
        """
        store = self._stores.store()
        _checked(key)
        while True:
            present = await store.get(self._service, key)
            value = change(default if present is None else self._decode(key, present, type))
            if inspect.isawaitable(value):
                if inspect.iscoroutine(value):
                    value.close()
                raise TypeError(f"state {self._label(key)}: what changes it must be a plain function")
            if await store.compare_and_set(self._service, key, present, self._encode(key, value), _seconds(ttl)):
                return value

    def _label(self, key: str) -> str:
        return f"{self._service}/{key}" if self._service else key

    def _encode(self, key: str, value: Any) -> bytes:
        what = f"state {self._label(key)!r}"
        data = encode_payload(_ANY, value, what)
        if b"null" in data and not _is_finite(value):
            raise PayloadError(
                f"{what}: no JSON can be made of its payload",
                [{"message": "NaN and infinity would be kept as null", "path": []}],
            )
        if len(data) > self._stores.max_value_size:
            raise UnhandledError(
                StatusCode.PAYLOAD_TOO_LARGE,
                f"{what} would have {len(data)} bytes; states.max_value_size allows {self._stores.max_value_size}",
            )
        return data

    def _decode(self, key: str, data: bytes, kind: Any) -> Any:
        try:
            return _ANY.decode(data) if kind is Any else msgspec.json.decode(data, type=kind)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise PayloadError(
                f"state {self._label(key)!r} is kept as something else", problems(kind, data, error)
            ) from error


def add(data: bytes | None, by: float, label: str) -> tuple[bytes, int | float]:
    """The sum of a number that is kept as JSON and another one, as JSON and as it is.

    :raises TypeError: if either is no number.
    :raises OverflowError: if the sum is too large.
    """
    present = 0 if data is None else _ANY.decode(data)
    for number in (present, by):
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise TypeError(f"state {label!r} cannot be incremented: {type(number).__name__} is no number")
    try:
        total: int | float = present + by
    except OverflowError:  # an integer that no float can have
        total = inf
    if not (-(2**63) <= total < 2**63 if isinstance(total, int) else isfinite(total)):
        raise OverflowError(f"state {label!r} cannot be incremented by {_shown(by)}: the sum is too large")
    return _ANY.encode(total), total


def _same(one: Any, other: Any) -> bool:
    """Whether two values are the same in JSON, where ``1`` is ``1.0`` and not ``true``."""
    pairs = [(one, other)]  # not by recursion, for they may nest as deeply as JSON may
    while pairs:
        one, other = pairs.pop()
        if isinstance(one, bool) or isinstance(other, bool):
            is_same = one is other
        elif isinstance(one, dict) and isinstance(other, dict):
            is_same = one.keys() == other.keys()
            pairs += [(value, other[key]) for key, value in one.items()] if is_same else []
        elif isinstance(one, list) and isinstance(other, list):
            is_same = len(one) == len(other)
            pairs += zip(one, other, strict=False)
        else:
            is_same = one == other
        if not is_same:
            return False
    return True


def _is_finite(value: Any) -> bool:
    """Whether no number is NaN or infinite: of these msgspec makes ``null``."""
    waiting = [msgspec.to_builtins(value, enc_hook=repr)]  # the hook is for msgspec.Raw, which is JSON already
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            waiting += found.values()
        elif isinstance(found, list | tuple):
            waiting += found
        elif isinstance(found, float) and not isfinite(found):
            return False
    return True


def _checked(key: object) -> str:
    if not isinstance(key, str) or not 0 < len(key) <= MAX_KEY:
        shown = f"{key[:40]!r}… ({len(key)} characters)" if isinstance(key, str) and key else repr(key)
        raise ValueError(f"the key of a state must be a text of 1 to {MAX_KEY} characters, not {shown}")
    if not key.isprintable():
        raise ValueError(f"the key of a state must be printable, not {key!r}")
    return key


def _shown(number: float) -> str:
    """A number for people; Python refuses to write very large ones."""
    bits = number.bit_length() if isinstance(number, int) else 0
    return f"an integer of {bits} bits" if bits > 64 else repr(number)


def _seconds(ttl: float | None) -> float | None:
    if ttl is not None and not 0 < ttl <= _LONGEST:
        raise ValueError(f"ttl must be above 0 seconds and at most {_LONGEST:g}, not {_shown(ttl)}")
    return ttl
