"""The demo: the health of this machine, sampled, digested on the spot, and watched.

``Probe`` emits a ``sample`` for each sensor several times a second. ``Digest`` makes one small ``digest`` of each
window of samples. ``Watch`` compares digests with thresholds and emits an ``alarm``. It runs by
``purista-fast demo``, or as an application like any other: ``purista-fast run purista_fast.demo:app``.
"""

from __future__ import annotations

from ..app import App
from .digest import digest_service
from .probe import probe_service
from .state import open_state
from .watch import watch_service

__all__ = ("app",)

app = App(probe_service, digest_service, watch_service, resources=open_state, name="device_health")
