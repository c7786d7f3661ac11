"""What an application finds in its configuration by name: ``ctx.configs``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ..config import typed
from ..errors import ConfigError

if TYPE_CHECKING:
    from ..kept_settings import ConfigsSettings
    from .states import States

__all__ = ("Configs",)

T = TypeVar("T")
D = TypeVar("D")


class Configs:
    """Values by name, from ``[configs.values]`` and ``PURISTA_CONFIGS__VALUES__<name>``: ``ctx.configs``.

    They are the same for all services of an application. What belongs to one service, and is known when it is written,
    is better off in its own ``[config.<service>]`` (``ctx.config``).

    >>> import anyio
    >>> from purista_fast import testing
    >>> ctx = testing.context(configs={"site": "north", "interval": "5m"})
    >>> anyio.run(ctx.configs.get, "site")
    'north'

    They cannot be changed unless ``configs.allow_set`` says so. What is set is kept with the states of the application,
    over restarts, and goes before what file and environment say.
    """

    __slots__ = ("_settings", "_source", "_states")

    def __init__(self, settings: ConfigsSettings, states: States, source: str) -> None:
        self._settings = settings
        self._states = states
        self._source = source

    def __repr__(self) -> str:
        return f"<configs {sorted(self._settings.values)}>"

    @overload
    async def get(self, name: str, *, type: type[T]) -> T | None: ...
    @overload
    async def get(self, name: str, *, type: type[T], default: D) -> T | D: ...
    @overload
    async def get(self, name: str, *, type: Any = ..., default: Any = ...) -> Any: ...
    async def get(self, name: str, *, type: Any = Any, default: Any = None) -> Any:
        """The value of a name.

        :param type: what it is read as; with ``float`` a duration (``"5m"``) becomes seconds, and a text of the
            environment what it stands for.
        :param default: what to give if there is none.
        :raises ConfigError: if the value is not of that type, with its place.
        :raises UnhandledError: if values may be set, and those that were cannot be read; see :class:`States`.
        :raises PayloadError: if a value that was set is not of that type.
        """
        if self._settings.allow_set or self._settings.allow_remove:
            found = await self._states.get(name, type=dict[str, Any])
            if found is not None:
                return typed(found["value"], type, self._source, f"configs: {name}, as it was set")
        values: Mapping[str, Any] = self._settings.values
        if name not in values:
            return default
        return typed(values[name], type, self._source, f"configs.values.{name}")

    async def set(self, name: str, value: Any) -> None:
        """Sets a value; it is kept.

        :raises ConfigError: unless ``configs.allow_set`` allows it.
        :raises PayloadError: if no JSON can be made of the value.
        :raises UnhandledError: if it cannot be kept; see :class:`States`.
        """
        self._check(self._settings.allow_set, "allow_set", name)
        await self._states.set(name, {"value": value})

    async def remove(self, name: str) -> bool:
        """Takes away what was set, so that file and environment count again; whether something was set.

        :raises ConfigError: unless ``configs.allow_remove`` allows it.
        :raises UnhandledError: if that cannot be kept; see :class:`States`.
        """
        self._check(self._settings.allow_remove, "allow_remove", name)
        return await self._states.remove(name)

    def _check(self, allowed: bool, key: str, name: str) -> None:
        if not allowed:
            raise ConfigError(f"{self._source}: configs.{key} is false, so {name!r} cannot be changed")
