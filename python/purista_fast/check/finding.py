"""What is found before deployment."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ("Finding", "Kind")

Kind = Literal["configuration", "bridge", "command", "event", "uplink"]


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that would not work once it is deployed."""

    kind: Kind
    profile: str
    """In which profile."""
    text: str
    """What is the case, with the service, the command or event, and what was expected."""
    handler: str = ""
    """Whose fault it is: ``Thermo/1/store``."""
    about: str = ""
    """The command or the event."""
    change: str = ""
    """What to do about it."""
