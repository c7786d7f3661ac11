"""Settings that many cases share."""

from __future__ import annotations

from typing import Any

__all__ = ("QUICK_RETRY", "outbox")

QUICK_RETRY = {"retry": {"attempts": 4, "base": 0.05, "maximum": 0.2, "jitter": 0.1}}
"""Options of a subscription: retries that a test can wait for."""


def outbox(durability: str, **options: Any) -> dict[str, dict[str, Any]]:
    """``[outbox]``; nothing where it would say what is the default."""
    table = {**({} if durability == "broker" else {"durability": durability}), **options}
    return {"outbox": table} if table else {}
