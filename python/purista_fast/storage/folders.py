"""Where things are in the state directory."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

__all__ = ("folder_of",)


def folder_of(state_dir: Path, application: str) -> Path:
    """Where an application keeps its state; a name such as ".." does not lead out of the state directory.

    >>> folder_of(Path("state"), "..").name
    '%2E%2E'
    """
    name = quote(application, safe=" ")
    return state_dir / (name.replace(".", "%2E") if set(name) == {"."} else name)
