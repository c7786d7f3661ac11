"""How long messages count."""

from __future__ import annotations

from math import ceil

from ..._core import Message

__all__ = ("event_expiry", "whole_seconds")

_LARGEST_SECONDS = 0xFFFF_FFFF


def whole_seconds(seconds: float) -> int:
    """A duration as a message expiry: rounded up, at least 1."""
    return min(max(1, ceil(seconds)), _LARGEST_SECONDS)


def event_expiry(message: Message, remaining: float, longest: float) -> int:
    """How long the broker may keep a message, in seconds.

    A command and a response that is no event are of no use after the caller's timeout.

    :param remaining: what is left of the caller's timeout.
    :param longest: ``bridge.message_expiry``.
    """
    kind = message.message_type
    is_answer = kind in ("commandSuccessResponse", "commandErrorResponse") and not message.event_name
    return whole_seconds(remaining if kind == "command" or is_answer else longest)
