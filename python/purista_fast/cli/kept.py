"""Finds and opens what an instance keeps on disk, for the commands that work on it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

import click

from ..bridges.mqtt.state import check_instance_id, is_locked
from ..config import Settings, load, seconds
from ..errors import ConfigError
from ..storage.clock import PoweredClock
from ..storage.damage import is_damage
from ..storage.folders import folder_of
from ..storage.reading import ChangedWhileRead, clock_of, open_reading, open_writing
from ..storage.schema import BROKEN
from .find import find_app
from .options import verbose

__all__ = ("DURATION", "Kept", "NothingKept", "kept")

Function = Callable[..., Any]


class NothingKept(click.ClickException):
    """There is no file of messages."""

    exit_code = 2


class Kept:
    """``messages.db`` of one instance.

    :param folder: the instance's folder.
    :param uplink: what its uplink keeps, if it has one.
    """

    def __init__(self, folder: Path, settings: Settings, uplink: Kept | None = None) -> None:
        self.folder = folder
        self.uplink = uplink
        self.file = folder / "messages.db"
        self.settings = settings

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """The file for reading; nothing on disk is changed.

        :raises NothingKept: if there is no file.
        :raises click.ClickException: if it is damaged or cannot be read.
        """
        with self._explained("read"), open_reading(self.file) as db:
            yield db

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """The file in a transaction, be the application running or not.

        :raises NothingKept: if there is no file.
        :raises click.ClickException: if it is damaged or cannot be written.
        """
        with self._explained("written"), open_writing(self.file) as db:
            yield db

    def clock(self, db: sqlite3.Connection) -> PoweredClock:
        """The clock by which ages are counted."""
        return clock_of(db, PoweredClock(self.settings.outbox.trust_clock))

    def is_running(self) -> bool:
        """Whether a process runs as this instance."""
        return is_locked(self.folder)

    def aside(self) -> list[Path]:
        """Damaged files that were set aside."""
        return sorted(
            path for path in self.folder.glob("messages.damaged-*") if not path.name.endswith(("-wal", "-shm"))
        )

    def fail(self, what: str) -> NoReturn:
        """Ends the command with an error that names the file."""
        raise click.ClickException(f"{self.file} {what}")

    @contextmanager
    def _explained(self, done: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            if self.file.exists():
                raise
            raise NothingKept(f"nothing is kept on disk: there is no {self.file}") from None
        except ChangedWhileRead:
            self.fail("was changed by an application that has just started; try again")
        except RuntimeError as error:
            self.fail(f"cannot be {done}: {error}")
        except BROKEN as error:
            if not is_damage(error):
                self.fail(
                    f"cannot be {done}: {error}; is there room on the disk, and does another process write to it?"
                )
            self.fail(
                f"is damaged ({error}): the application sets it aside and saves what can be read when it starts; "
                f"`purista-fast outbox export --file {self.file}` reads that as well"
            )
        except OSError as error:
            if error.filename is None or Path(os.fsdecode(error.filename)) != self.file:
                raise
            self.fail(f"cannot be {done}: {error.strerror}")


def kept(numbers: str = "", *, optional: bool = False) -> Callable[[Function], Function]:
    """The options that lead to an instance, as :class:`Kept` in the argument ``kept``.

    :param optional: whether nothing need be named; then it is ``None``.
    :param numbers: how the help calls the numbers that follow the application, given in the argument ``numbers``.
    """

    def decorate(function: Function) -> Function:
        @wraps(function)
        def with_kept(
            *args: Any,
            arguments: tuple[str, ...],
            state: str | None,
            instance: str | None,
            profile: str | None,
            config: str | None,
            verbose: bool,
            **kwargs: Any,
        ) -> Any:
            del verbose  # remembered where errors are reported
            if numbers:
                kwargs["numbers"] = [int(argument) for argument in arguments if argument.isdecimal()]
            names = [argument for argument in arguments if not (numbers and argument.isdecimal())]
            if len(names) > 1:
                raise click.UsageError(f"{names[1]!r} is not expected after {names[0]!r}")
            if optional and not names and state is None:
                return function(*args, kept=None, **kwargs)
            found = _find(names[0] if names else None, state, instance, load(config, profile=profile))
            return function(*args, kept=found, **kwargs)

        for option in (
            click.option("--config", metavar="FILE", help="The configuration file.  [default: purista.toml]"),
            click.option("--profile", metavar="NAME", help="The profile of the configuration."),
            click.option("--instance", metavar="ID", help="Which instance, where there are several."),
            click.option("--state", metavar="DIR", help="The instance's own folder, in place of MODULE:APP."),
            click.argument("arguments", nargs=-1, metavar=f"[MODULE:APP] {numbers}".rstrip()),
        ):
            with_kept = option(with_kept)
        return verbose(with_kept)

    return decorate


def _find(application: str | None, state: str | None, instance: str | None, settings: Settings) -> Kept:
    if (application is None) == (state is None):
        raise click.UsageError("name either the application, as module:app, or its folder, with --state")
    if state is None:
        assert application is not None
        name = find_app(application).name
        return Kept(_folder(name, settings, instance), settings, _uplink(name, settings, instance))
    if instance is not None:
        raise click.UsageError("--state names the folder of one instance: leave out --instance")
    folder = Path(state)
    if not folder.is_dir():
        raise click.BadParameter(f"{state} is no folder", param_hint="--state")
    inside = sorted(path.parent for path in folder.glob("**/messages.db"))
    if inside and folder not in inside:
        raise click.BadParameter(
            f"name the folder of one instance: {', '.join(map(str, inside))}", param_hint="--state"
        )
    return Kept(folder, settings)


def _uplink(name: str, settings: Settings, instance: str | None) -> Kept | None:
    if settings.uplink is None or not settings.uplink.enabled:
        return None
    from ..uplink.uplink import uplink_settings

    own = uplink_settings(settings, instance or settings.bridge.instance_id)
    return Kept(_folder(name, own, None), own)


def _folder(name: str, settings: Settings, instance: str | None) -> Path:
    """The folder of an instance; without an id, of the only one there is."""
    folder = folder_of(settings.storage.directory(), name)
    if instance is None and settings.app.workers is None:
        instance = settings.bridge.instance_id
    if instance is not None:
        check_instance_id(instance)
        return folder / instance
    present = sorted(path.parent.name for path in folder.glob("*/messages.db"))
    if len(present) > 1:
        raise click.UsageError(f"{folder} has several instances: choose one with --instance: {', '.join(present)}")
    if present:
        return folder / present[0]
    try:
        return folder / (folder / "instance_id").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return folder
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{folder / 'instance_id'} cannot be read: {error}") from None


class _Duration(click.ParamType):  # type: ignore[type-arg] # not generic in older versions
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = seconds(str(value))
        if found is None:
            self.fail(f"{value!r} is no duration such as 90s, 12h or 7d", param, ctx)
        return found


DURATION = _Duration()
"""A duration such as ``7d``, in seconds."""
