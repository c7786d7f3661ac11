"""Instances of an earlier start that nobody starts any more: fewer workers now, or none, or workers at last."""

from __future__ import annotations

from pathlib import Path

from ...config import AppSettings
from ..messages import logger
from .state import State, is_locked

__all__ = ("left_behind", "warn_of_left_behind")


def left_behind(state: State, app: AppSettings) -> list[str]:
    """The ids of instances that have state beside this one's and are part of no worker of its start.

    Looked for by the first worker, and by an instance without workers, for all.
    """
    if app.worker > 1:
        return []
    base = state.instance_id.removesuffix(f"_{app.worker}") if app.worker else state.instance_id
    if app.worker:
        # Without a number of workers, nobody knows how many others there are.
        highest = app.workers if app.workers is not None else 999
        started = {f"{base}_{number}" for number in range(1, highest + 1)}
    else:
        started = {base}
    found = [folder for folder in state.folder.parent.iterdir() if _is_kin(folder.name, base)]
    found = [folder for folder in found if folder.name not in started and _has_state(folder) and not is_locked(folder)]
    return sorted((folder.name for folder in found), key=lambda name: (len(name), name))


def warn_of_left_behind(state: State, app: AppSettings) -> None:
    """Logs which instances are to be retired, if they do not come back."""
    for instance_id in left_behind(state, app):
        logger.warning(
            "instance %s has run beside this one, and this start does not bring it back: its share of the events waits "
            "in the broker, and what it had still to send in %s. `purista-fast retire MODULE:APP --instance %s` "
            "handles both",
            instance_id,
            state.folder.parent / instance_id,
            instance_id,
        )


def _is_kin(name: str, base: str) -> bool:
    stem, _, number = name.rpartition("_")
    return name == base or (stem == base and number.isascii() and number.isdecimal())


def _has_state(folder: Path) -> bool:
    try:
        return any((folder / name).exists() for name in ("subscriptions.json", "messages.db"))
    except PermissionError:
        return True  # another account has run it here: no reason not to start
