"""Settings of what is kept on disk: messages that wait, and what handlers have by name."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from .policy import Durability, Overflow, Trust

__all__ = (
    "ConfigsSettings",
    "Count",
    "DeadLetterSettings",
    "OutboxSettings",
    "RetrySettings",
    "Seconds",
    "SecretsSettings",
    "StatesSettings",
)

Seconds = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class OutboxSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``[outbox]``: events on disk that the broker has not taken yet, or may not have saved yet."""

    durability: Durability = "broker"
    """``"broker"``: an event goes to disk only if the broker does not acknowledge it in time; ``"disk"``: always."""
    overflow: Overflow = "reject"
    """What happens to an event for which there is no room: ``"reject"``, ``"drop_oldest"``, ``"drop_newest"`` or
    ``"block"``."""
    spill_after: Seconds = 2.0
    """How long the broker may take to acknowledge an event, or be away, before events go to disk."""
    hold: Seconds = 60.0
    """How long ``durability = "disk"`` keeps an event after the broker has acknowledged it: longer than the broker
    takes to save."""
    max_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 64 * 1024 * 1024
    """How much may wait, in bytes."""
    max_messages: Count = 100_000
    """How many events may wait."""
    max_age: Seconds = 30 * 86400.0
    """How long an event may wait, in powered time."""
    trust_clock: Trust = "auto"
    """Whether the wall clock counts for the age: as the kernel says, always, never."""


class RetrySettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``[retries]``: messages on disk that subscriptions have still to handle, or to try again."""

    ack_within: Seconds = 30.0
    """How long a message may wait for its handlers before it moves to disk and is acknowledged."""
    max_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 64 * 1024 * 1024
    """How much may wait, in bytes; then the broker holds the rest."""
    max_messages: Count = 100_000
    """How many messages may wait; then the broker holds the rest."""


class DeadLetterSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``[dead_letters]``: messages on disk that were given up."""

    event: str | None = None
    """The name of an event that tells of each; unset: none is told."""
    max_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 16 * 1024 * 1024
    """How much is kept, in bytes; the oldest go first."""
    max_messages: Count = 10_000
    """How many are kept; the oldest go first."""


class StatesSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``[states]``: what handlers keep by ``ctx.states``."""

    url: str = "sqlite://"
    """``sqlite://``: a file in the state directory; ``memory://``: gone with the process; or what an adapter serves."""
    max_value_size: Annotated[int, msgspec.Meta(ge=64, le=268_435_455)] = 1024 * 1024
    """The largest value, in bytes of its JSON."""
    max_bytes: Annotated[int, msgspec.Meta(ge=65536)] = 64 * 1024 * 1024
    """How much is kept, in bytes; then ``set`` raises 507."""
    trust_clock: Trust = "auto"
    """Whether the wall clock counts for the time to live: as the kernel says, always, never."""

    def __repr__(self) -> str:
        from .urls import public_url

        return f"StatesSettings(url={public_url(self.url)!r}, …)"

    __str__ = __repr__


class ConfigsSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``[configs]``: what handlers find by ``ctx.configs``."""

    values: dict[str, Any] = msgspec.field(default_factory=dict)
    """The values, by name."""
    allow_set: bool = False
    """Whether handlers may set values, which then go before those of ``values`` and are kept as states."""
    allow_remove: bool = False
    """Whether handlers may take away what was set."""


class SecretsSettings(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """``[secrets]``: what handlers find by ``ctx.secrets``."""

    directory: str | None = None
    """A folder with one file for each secret."""
    allow_set: bool = False
    """Whether handlers may write files there."""
    allow_remove: bool = False
    """Whether handlers may remove files there."""
