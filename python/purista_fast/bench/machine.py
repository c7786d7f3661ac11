"""On what was measured."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .._core import __version__, build_profile

__all__ = ("machine", "versions")


def machine() -> dict[str, Any]:
    """What matters for speed, without the name of the machine."""
    return {
        "cpu": _model(),
        "cores": os.cpu_count(),
        "architecture": platform.machine(),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}",
    }


def versions() -> dict[str, str]:
    """Of everything of ours that takes part."""
    found = {
        "purista-fast": f"{__version__} ({build_profile})",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    for name in ("anyio", "msgspec", "trio"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _model() -> str:
    """The board, where there is one that says its name; else the processor."""
    for place in ("/sys/firmware/devicetree/base/model", "/proc/device-tree/model"):
        try:
            return Path(place).read_text("utf-8", "replace").strip("\0 \n")
        except OSError:
            continue
    try:
        facts = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        facts = []
    named = (fact.partition(":")[2].strip() for fact in facts if fact.startswith(("model name", "Model")))
    return next(named, "") or platform.processor() or platform.machine()
