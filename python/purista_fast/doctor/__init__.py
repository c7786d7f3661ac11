"""Examines a running broker, and its configuration, for what breaks the promises."""

from __future__ import annotations

from .examine import Examination, no_broker
from .finding import Finding

__all__ = ("Examination", "Finding", "no_broker")
