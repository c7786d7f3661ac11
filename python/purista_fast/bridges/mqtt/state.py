"""What an instance keeps on disk: its id, and the subscriptions of its session with the broker."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from ..._core import WireError, response_filter, snake_case
from ...config import Settings
from ...errors import BridgeError, ConfigError
from ...storage.folders import folder_of
from .retire import Retired

__all__ = ("State", "Subscribed", "check_instance_id", "check_prefix", "is_locked", "random_id")

_CLIENT = "client"
"""The name under which a client without services runs: nothing of it outlives the process."""


class Subscribed(msgspec.Struct):
    """The subscriptions of the events session, by filter, with their identifiers."""

    confirmed: dict[str, int] = {}
    """What the broker has agreed to."""
    attempted: dict[str, int] = {}
    """What was about to be subscribed when this was written: the broker may have it or not."""


class _File(msgspec.Struct):
    """``subscriptions.json``."""

    version: int
    subscriptions: Subscribed


def check_instance_id(instance_id: str) -> None:
    """Refuses an id that its topic level would not show as it is: answers go to that level.

    :raises ConfigError: with the form that works.
    """
    level = snake_case(instance_id)
    if level != instance_id or set(level) & set("+#/\0") or level in ("", ".", ".."):
        works = level.strip("+#/\0.")
        raise ConfigError(
            f"bridge.instance_id {instance_id!r} cannot be a level of a topic as it is"
            + (f"; use {works!r}" if works and snake_case(works) == works else "")
        )


def check_prefix(prefix: str) -> None:
    """Refuses a prefix that is no level of a topic.

    :raises ConfigError: with what works.
    """
    try:
        response_filter("any", prefix=prefix)
    except WireError as error:
        raise ConfigError(f"bridge.prefix: {error}") from None
    if snake_case(prefix) != prefix:
        raise ConfigError(f"bridge.prefix {prefix!r} would be {snake_case(prefix)!r} as a topic level: write that")


def random_id() -> str:
    """An id that nobody else has, and that the topic conversion leaves as it is."""
    return "".join(chr(ord("a") + byte % 26) for byte in os.urandom(24))


class State:
    """The folder of one instance: ``<state_dir>/<application>/<instance id>``."""

    def __init__(self, folder: Path, instance_id: str) -> None:
        self.instance_id = instance_id
        self.folder = folder / instance_id
        self._file = self.folder / "subscriptions.json"
        self._lock: int | None = None

    @classmethod
    def of(cls, settings: Settings, application: str) -> State | None:
        """The state that the settings name; a client has none.

        :raises ConfigError: if the instance id cannot be one.
        :raises BridgeError: if it cannot be read or kept.
        """
        instance_id = settings.bridge.instance_id
        if instance_id is not None:
            check_instance_id(instance_id)
        if application == _CLIENT:
            # Not even the configured id: it is that of the service that is configured by the same file.
            return None
        return cls.open(settings.storage.directory(), application, instance_id, settings.app.worker)

    @classmethod
    def open(cls, state_dir: Path, application: str, instance_id: str | None, worker: int = 0) -> State:
        """The state of an instance; without an id, of the one that this application has in this folder.

        :param worker: which of the workers of that instance it is; 0 for the instance itself.
        :raises ConfigError: if the id of a worker cannot be one.
        :raises BridgeError: if the id cannot be read or kept.
        """
        folder = folder_of(state_dir, application)
        if instance_id is None:
            try:
                instance_id = _kept_id(folder)
            except OSError as error:
                raise BridgeError(
                    f"{folder}: the instance id cannot be kept: {error.strerror}; set storage.state_dir to a folder "
                    "that can be written, or bridge.instance_id"
                ) from error
        if worker:
            instance_id = f"{instance_id}_{worker}"
            check_instance_id(instance_id)
        return cls(folder, instance_id)

    def lock(self) -> None:
        """Keeps other processes from being this instance as well; until :meth:`release`.

        :raises BridgeError: if another one is, or the folder cannot be written.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BridgeError(f"{self.folder} cannot be written: {error.strerror}; see storage.state_dir") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise BridgeError(
                f"another process runs as instance {self.instance_id!r} with the state in {self.folder}: give this "
                "one its own bridge.instance_id, or its own storage.state_dir"
            ) from None
        self._lock = lock
        for left in self.folder.glob(".new-*"):
            # By a process that ended while it wrote.
            with contextlib.suppress(OSError):
                left.unlink()

    def release(self) -> None:
        """Lets others be this instance."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def load(self) -> Subscribed | None:
        """The subscriptions that were kept; ``None`` if there are none.

        :raises BridgeError: if they cannot be read.
        """
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=_File).subscriptions
        except FileNotFoundError:
            return None
        except OSError as error:
            raise BridgeError(f"{self._file} cannot be read: {error.strerror}") from error
        except msgspec.MsgspecError as error:
            raise BridgeError(
                f"{self._file} is damaged: {error}; without it, subscriptions that the code has no more stay with the "
                "broker. Remove the file to go on nevertheless"
            ) from None

    def save(self, confirmed: Mapping[str, int], attempted: Mapping[str, int]) -> None:
        """Keeps the subscriptions; whole or not at all.

        :raises BridgeError: if that fails.
        """
        data = msgspec.json.encode(_File(1, Subscribed(dict(confirmed), dict(attempted))))
        try:
            _replace(self._file, msgspec.json.format(data) + b"\n")
        except OSError as error:
            raise BridgeError(f"{self._file} cannot be written: {error.strerror}") from error

    def retire(self, outcome: Retired) -> None:
        """Removes the folder of a retired instance, and its id if that was made here; not if something is left in it.

        Closed files are expected: nothing of the folder is in use but the lock.
        """
        if not outcome.is_ended or outcome.outbox or outcome.retries or outcome.dead_letters:
            outcome.kept = str(self.folder)
            return
        import shutil  # only for an end

        shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.exists():
            outcome.kept = str(self.folder)
        kept = self.folder.parent / "instance_id"
        with contextlib.suppress(OSError):  # the id was given by the configuration
            if kept.read_text(encoding="utf-8").strip() == self.instance_id:
                kept.unlink()
        with contextlib.suppress(OSError):  # the folder holds other instances
            self.folder.parent.rmdir()

    @staticmethod
    def is_known(state_dir: Path, application: str) -> bool:
        """Whether an instance id was made for an application here."""
        return (folder_of(state_dir, application) / "instance_id").is_file()

    def forget(self) -> None:
        """Removes the subscriptions: the session has ended."""
        self._file.unlink(missing_ok=True)


def is_locked(folder: Path) -> bool:
    """Whether a process runs as the instance that has this folder."""
    try:
        lock = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def _kept_id(folder: Path) -> str:
    """The id in ``instance_id``, made now if there is none; two processes that make it agree on one."""
    file = folder / "instance_id"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists():
        candidate = _write(folder, random_id().encode() + b"\n")
        try:
            # Fails if another process was faster; then its id counts.
            with contextlib.suppress(FileExistsError):
                os.link(candidate, file)
        finally:
            candidate.unlink()
        _sync(folder)
    kept = file.read_text(encoding="utf-8").strip()
    try:
        check_instance_id(kept)
    except ConfigError:
        raise BridgeError(f"{file} holds no instance id; remove it, and a new one is made") from None
    return kept


def _replace(file: Path, data: bytes) -> None:
    written = _write(file.parent, data)
    try:
        written.replace(file)
    except BaseException:
        written.unlink(missing_ok=True)
        raise
    _sync(file.parent)


def _write(folder: Path, data: bytes) -> Path:
    """A new file with mode 0600, on disk."""
    name = folder / f".new-{random_id()}"
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(handle, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
    except BaseException:
        name.unlink(missing_ok=True)
        raise
    return name


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
