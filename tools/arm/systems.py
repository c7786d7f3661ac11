"""Which emulated systems there are, and which tests run in them."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ("DIST", "HERE", "KIT", "REPOSITORY", "SUITES", "SYSTEMS", "suites_of")

REPOSITORY = Path(__file__).resolve().parents[2]
HERE = REPOSITORY / "tools" / "arm"
DIST = REPOSITORY / "dist"
KIT = Path(os.environ.get("ARM_KIT") or REPOSITORY / ".arm").resolve()

SYSTEMS = {
    "bookworm-arm64": "Debian 12 (bookworm), aarch64",
    "bookworm-armhf": "Debian 12 (bookworm), armv7l",
    "trixie-arm64": "Debian 13 (trixie), aarch64",
    "musl-arm64": "CPython with musl, aarch64",
    "musl-armhf": "CPython with musl, armv7l",
}
"""As ``roots.sh`` makes them."""

SUITES = {
    "vectors": ["tests/vectors"],
    "unit": ["tests/unit"],
    "property": ["tests/property"],
    "contract on memory://": ["tests/contract/test_memory.py"],
    "contract on mqtt://": ["tests/contract/test_mqtt.py"],
    "outbox": [f"tests/broker/test_outbox{part}.py" for part in ("", "_model", "_played")],
    "kill -9": ["tests/faults/test_kill.py"],
}
"""What pytest is told."""

_ON_MUSL = ["vectors", "unit", "property", "contract on memory://"]


def suites_of(name: str) -> list[str]:
    """The suites that belong to a system."""
    return _ON_MUSL if name.startswith("musl-") else list(SUITES)
