"""How large the parts of a message may be: looked at before anything is made of them."""

from __future__ import annotations

__all__ = ("MOST_HEADER_BYTES", "MOST_KEY", "MOST_PROPERTY_BYTES", "MOST_USER_PROPERTIES")

MOST_PROPERTY_BYTES = 16 * 1024
"""Of all MQTT properties of a message."""
MOST_USER_PROPERTIES = 200
MOST_HEADER_BYTES = 16 * 1024
"""Of an envelope without its payload: ids, names, addresses, traces."""
MOST_KEY = 512
"""Of an id that is remembered, in characters."""
