"""Modules that come with their first use, though others import them at once: TLS above all.

asyncio and anyio import ``ssl``, and with it OpenSSL, some 4 MB of resident memory, into applications that never open a
connection with TLS. When :mod:`purista_fast` is what brings asyncio into the process, they get a stand-in instead,
which imports the real module when something of it is used. Only they see it: whoever imports ``ssl`` gets the real one,
and where asyncio is there already nothing is done.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any

__all__ = ("Later", "deferred")


class Later(ModuleType):
    """Stands for a module until something of it is used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # of import itself
        _withdraw(self)
        return getattr(importlib.import_module(self.__name__), name)


@contextmanager
def deferred(*names: str) -> Iterator[dict[str, Later]]:
    """What is imported within the block gets stand-ins for these modules, those that are not there yet.

    >>> import sys
    >>> with deferred("this"):
    ...     import this
    >>> "this" in sys.modules
    False
    """
    made = {name: Later(name) for name in names if name not in sys.modules}
    sys.modules.update(made)
    try:
        yield made
    finally:
        for later in made.values():
            _withdraw(later)


def _withdraw(later: Later) -> None:
    if sys.modules.get(later.__name__) is later:
        del sys.modules[later.__name__]


def _import_asyncio() -> None:
    """asyncio and anyio without TLS."""
    if "asyncio" in sys.modules or find_spec("_ssl") is None:
        return
    # asyncio.sslproto wants the errors of ssl when it is imported, and is used for TLS alone.
    with deferred("ssl", "asyncio.sslproto") as made:
        if "ssl" in made:
            # anyio takes this name for its annotations, which nobody evaluates.
            vars(made["ssl"])["SSLContext"] = type("SSLContext", (), {"__module__": "ssl"})
        importlib.import_module("asyncio")
        importlib.import_module("anyio.streams.tls")
        importlib.import_module("anyio").connect_tcp  # noqa: B018 - anyio imports a thing when it is asked for it
        if "ssl" in made:
            del vars(made["ssl"])["SSLContext"]


_import_asyncio()
