"""Examines a running broker, and its configuration, for what breaks the promises."""

from __future__ import annotations

from .examine import Examination, no_broker
from .files import HOLD
from .finding import Finding

__all__ = ("HOLD", "Examination", "Finding", "no_broker")
