"""``bridge.url``: its scheme, its parts, and what of it may be shown."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

from .errors import ConfigError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

__all__ = ("public_url", "scheme", "split")


def public_url(url: str) -> str:
    """The URL without a password."""
    # Up to the last "@": a password may hold one, and other characters that should have been written as %40.
    return re.sub(r"//.*@", "//…@", url, flags=re.DOTALL)


def scheme(url: str) -> str:
    """What ``bridge.url`` begins with; empty if it is no URL.

    >>> scheme("mqtts://broker.example"), scheme("broker.example")
    ('mqtts', '')
    """
    name, colon, _ = url.partition(":")
    return name.lower() if colon else ""


def split(url: str) -> SplitResult:
    """The parts of ``bridge.url``.

    :raises ConfigError: if it is no URL.
    """
    from urllib.parse import urlsplit  # an application on memory:// does without

    with contextlib.suppress(ValueError):  # its text may quote the password, and must not become the context of ours
        return urlsplit(url)
    raise ConfigError(f"bridge.url {public_url(url)!r} is no URL: expected scheme://host:port")
