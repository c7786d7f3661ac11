"""Imports paho without what it has for proxies, TLS and web sockets alone.

``urllib.request`` would bring http, email and more into every application: 1.3 MB and 10 ms. paho asks for proxies
where it opens a socket; here it never does (see :mod:`.sockets`). Whoever uses one of them, paho included,
gets the real one.
"""

from __future__ import annotations

import importlib
import sys
import urllib

from ....later import deferred

__all__ = ("import_paho",)


def import_paho() -> None:
    """Imports ``paho.mqtt.client``; what stands for the rest meanwhile stays where paho finds it."""
    if "paho.mqtt.client" in sys.modules:
        return
    with deferred("urllib.request", "ssl", "hashlib") as made:
        if "urllib.request" in made:
            setattr(urllib, "request", made["urllib.request"])  # noqa: B010 - type checkers know no such attribute
        importlib.import_module("paho.mqtt.client")
