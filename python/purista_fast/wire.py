"""PURISTA's message format and topics, for those who speak to the broker themselves.

>>> from purista_fast import wire
>>> wire.snake_case("userSignUp")
'user_sign_up'
"""

from __future__ import annotations

from ._core import (
    Address,
    Message,
    TopicTree,
    WireError,
    command_filter,
    decode,
    encode,
    matches,
    message_topic,
    new_id,
    new_traceparent,
    response_filter,
    short_info_filter,
    snake_case,
    subscription_filter,
)

__all__ = (
    "Address",
    "Message",
    "TopicTree",
    "WireError",
    "command_filter",
    "decode",
    "encode",
    "matches",
    "message_topic",
    "new_id",
    "new_traceparent",
    "response_filter",
    "short_info_filter",
    "snake_case",
    "subscription_filter",
)
