"""Imports paho without ``urllib.request``, which it has for proxies alone.

That would bring http, email and more into every application: 1.3 MB and 10 ms. paho asks for proxies where it opens a
socket; here it never does (see :mod:`.sockets`). Whoever uses ``urllib.request``, paho included, gets the real one.
"""

from __future__ import annotations

import importlib
import sys
import urllib
from types import ModuleType
from typing import Any

__all__ = ("import_paho",)

_NAME = "urllib.request"


class _Later(ModuleType):
    """Stands for a module until something of it is used."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # of import itself
        _withdraw(self)
        return getattr(importlib.import_module(self.__name__), name)


def import_paho() -> None:
    """Imports ``paho.mqtt.client``; what stands for ``urllib.request`` meanwhile stays where paho finds it."""
    if _NAME not in sys.modules and "paho.mqtt.client" not in sys.modules:
        later = sys.modules[_NAME] = _Later(_NAME)
        setattr(urllib, "request", later)  # noqa: B010 - type checkers know no such attribute
        try:
            importlib.import_module("paho.mqtt.client")
        finally:
            _withdraw(later)


def _withdraw(later: _Later) -> None:
    if sys.modules.get(_NAME) is later:
        del sys.modules[_NAME]
