"""What a handler receives beside its payload: :class:`Context`, and what it leaves to Python."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ._core import Context

__all__ = ("Context",)


class ContextLogger(logging.LoggerAdapter[logging.Logger]):
    """Puts service, target and trace in front of a line, and into the record for those who format it themselves."""

    def process(self, msg: Any, kwargs: Any) -> tuple[Any, Any]:
        extra: Mapping[str, Any] = self.extra or {}
        kwargs["extra"] = {**extra, **(kwargs.get("extra") or {})}
        return f"{extra['service']} [{extra['trace_id']}] {msg}", kwargs
