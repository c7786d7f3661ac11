"""What handlers keep and look up by name: states, configs, secrets (PURISTA's state, config and secret stores)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ConfigError, StatusCode, UnhandledError
from ..urls import public_url, scheme

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from ..config import Settings
    from .configs import Configs
    from .secrets import Secrets
    from .states import States, StateStore

__all__ = ("Stores",)

GROUP = "purista_fast.states"
"""Under which entry point adapters of state stores are found."""


class Stores:
    """The stores of one run of an application. Each is opened when it is first used.

    :param application: under whose name states are kept.
    :raises ConfigError: if ``states.url`` names no store that there is: a handler must not be the first to notice.
    """

    def __init__(self, settings: Settings, application: str) -> None:
        self._settings = settings
        self._application = application
        self._store: StateStore | None = None
        self._by_service: dict[str, States] = {}
        self._configs: Configs | None = None
        self._secrets: Secrets | None = None
        self._is_closed = False
        self._adapter()

    def states(self, service: str) -> States:
        """What a service keeps."""
        found = self._by_service.get(service)
        if found is None:
            from .states import States

            found = self._by_service[service] = States(self, service)
        return found

    @property
    def max_value_size(self) -> int:
        """The largest value of a state, in bytes."""
        return self._settings.states.max_value_size

    @property
    def configs(self) -> Configs:
        """What the application finds in its configuration by name."""
        if self._configs is None:
            from .configs import Configs

            settings = self._settings
            self._configs = Configs(settings.configs, self.states(""), settings.source or "the defaults")
        return self._configs

    @property
    def secrets(self) -> Secrets:
        """What the application is trusted with."""
        if self._secrets is None:
            from .secrets import Secrets

            self._secrets = Secrets(self._settings.secrets, self._settings.source or "the defaults")
        return self._secrets

    def store(self) -> StateStore:
        """Where states are kept, as ``states.url`` says.

        :raises UnhandledError: 503 if the application has stopped: nobody would close what is opened now.
        """
        if self._store is None:
            if self._is_closed:
                raise UnhandledError(
                    StatusCode.SERVICE_UNAVAILABLE, f"states of {self._application}: the application has stopped"
                )
            self._store = self._make()
        return self._store

    async def close(self) -> None:
        """Closes what was opened; nothing is opened any more."""
        self._is_closed = True
        if self._store is not None:
            await self._store.close()

    def _make(self) -> StateStore:
        states, adapter = self._settings.states, self._adapter()
        if adapter is not None:
            store: StateStore = adapter.load()(states.url, self._settings)
            return store
        if scheme(states.url) == "sqlite":
            from ..storage.clock import PoweredClock
            from ..storage.folders import folder_of
            from .sqlite import SqliteStates

            folder = folder_of(self._settings.storage.directory(), self._application)
            return SqliteStates(folder / "states.db", PoweredClock(states.trust_clock), states.max_bytes)
        from .memory import MemoryStates

        return MemoryStates(states.max_bytes)

    def _adapter(self) -> EntryPoint | None:
        """What makes the store, if it is none of ours."""
        url, source = self._settings.states.url, self._settings.source or "the defaults"
        kind = scheme(url)
        if kind in ("sqlite", "memory"):
            if url.partition(":")[2] not in ("", "//"):
                raise ConfigError(
                    f"{source}: states.url {public_url(url)!r}: nothing may follow {kind}://; the file is in "
                    "storage.state_dir"
                )
            return None
        from importlib.metadata import entry_points  # most applications keep states in a file

        adapters = {point.name: point for point in entry_points(group=GROUP)}
        if kind not in adapters:
            known = ", ".join(f"{name}://" for name in ("sqlite", "memory", *sorted(adapters)))
            raise ConfigError(
                f"{source}: states.url {public_url(url)!r} begins with none of {known}; an adapter is a package with "
                f"an entry point in the group {GROUP!r}"
            )
        return adapters[kind]
