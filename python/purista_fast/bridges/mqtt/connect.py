"""What a CONNECT says."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

__all__ = ("Connect", "Will")


class Will(msgspec.Struct, frozen=True, kw_only=True):
    """What the broker publishes when the connection breaks, with QoS 1."""

    topic: str
    payload: bytes
    delay: int
    """How long the broker waits for a reconnect, in seconds."""
    expiry: int
    """For how long the message counts, in seconds."""
    content_type: str
    user: Sequence[tuple[str, str]]
    """The user properties."""


class Connect(msgspec.Struct, frozen=True, kw_only=True):
    """What a CONNECT says; and how large a payload may be."""

    client_id: str
    clean_start: bool
    session_expiry: int
    """In seconds."""
    receive_maximum: int
    max_packet_size: int
    """In bytes."""
    max_payload_size: int
    """In bytes; checked by us, no broker is told."""
    keep_alive: int
    """In seconds."""
    will: Will | None = None
