"""One SQLite file, written in group commits by one thread at a time: the event loop never waits for the disk."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from ..errors import BridgeError, StatusCode, UnhandledError
from . import schema
from .clock import PoweredClock
from .damage import Damage, open_or_recover, sync

__all__ = ("Database", "StorageError", "resume")

R = TypeVar("R")
Work = Callable[[sqlite3.Connection], R]
logger = logging.getLogger("purista_fast.storage")
_RESERVE = 1024 * 1024 + 128 * 1024
"""How many bytes are kept free for what makes room when the disk is full: what the log may hold, and some more."""
_GIVEN_BACK = 256
"""How many pages a full disk gets back at once."""
_HANGS = 300.0
"""After how many seconds a transaction counts as one that will not end: a slow card takes some."""
_LOOK = 5.0
"""How often is looked whether another process, such as the command line, has changed something, in seconds."""
_KEEP_TIME = 60.0
"""How often the powered time is written while something is kept, in seconds."""


class StorageError(UnhandledError):
    """Raised where something could not be kept on disk: 507 if it is full, else 503; names file and reason."""


class _Operation:
    """Something to do in a transaction, and what becomes of it."""

    __slots__ = ("done", "frees", "work")

    def __init__(self, work: Work[Any], done: Callable[[Any, StorageError | None], None], *, frees: bool) -> None:
        self.work = work
        self.done = done
        self.frees = frees


class Database:
    """``messages.db`` of one instance.

    :param file: where it is; its folder exists.
    """

    def __init__(self, file: Path, clock: PoweredClock) -> None:
        self.file = file
        self.clock = clock
        self.store_id = ""
        """Names this file, so that numbers of its rows are not taken for those of another."""
        self.damage: Damage | None = None
        """What was repaired when it was opened."""
        self.commits = 0
        self.failures = 0
        self._db: sqlite3.Connection | None = None
        self._inode = (0, 0)
        self._pending: list[_Operation] = []
        self._wanted = anyio.Event()
        self._idle = anyio.Event()
        self._is_closing = False
        self._is_running = False
        self._busy_since: float | None = None
        """Since when a transaction runs, in seconds of ``time.monotonic()``."""
        self._time_kept = float("-inf")
        self._lacks_reserve = False

    # --- life

    def open(self) -> None:
        """Opens the file, and repairs it if it is damaged; blocks.

        :raises BridgeError: if that is not possible.
        """
        try:
            try:
                self._db, self.damage = open_or_recover(self.file)
            except (sqlite3.OperationalError, OSError) as error:
                # A full disk has no room for the log, or for the file that a damaged one becomes; some has been kept.
                if not _may_be_full(error) or not self._free_reserve():
                    raise
                self._db, self.damage = open_or_recover(self.file)
            self._inode = _inode(self.file)
            self.store_id = str(schema.get(self._db, "store"))
            resume(self._db, self.clock)
        except (sqlite3.Error, OSError, RuntimeError) as error:
            raise BridgeError(
                f"{self.file} cannot be used: {error}; free the disk, repair its rights, or set storage.state_dir to "
                "another folder"
            ) from error
        if self.damage is not None:
            logger.error("%s was %s", self.file, self.damage)
        self._take_reserve()

    async def start(self, tasks: TaskGroup) -> None:
        """Opens the file, and works in this group from now on.

        :raises BridgeError: as :meth:`open` does.
        """
        self._thread = anyio.CapacityLimiter(1)
        await anyio.to_thread.run_sync(self.open, limiter=self._thread)
        self._is_running = True
        tasks.start_soon(self._work, name=f"storage {self.file.name}")

    async def close(self) -> None:
        """Writes what is still to be written, and closes the file."""
        self._is_closing = True
        self._wanted.set()
        if self._is_running:
            await self._idle.wait()
        elif self._db is not None:
            self._close()

    # --- use

    def submit(
        self, work: Work[R], done: Callable[[R | None, StorageError | None], None], *, frees: bool = False
    ) -> None:
        """Has something done in a transaction soon, after what was submitted before, and often together with it.

        :param work: gets the connection, in a thread; what it raises undoes what it did and nothing else.
        :param done: gets its result or why it failed, in the event loop, in order; once it is on disk.
        :param frees: whether it makes room; then it may use what is reserved on a full disk.
        """
        if self._is_closing or not self._is_running:
            done(None, self._failed("it is closed", full=False))
            return
        self._pending.append(_Operation(work, done, frees=frees))
        self._wanted.set()

    async def run(self, work: Work[R], *, frees: bool = False) -> R:
        """Has something done in a transaction and returns its result once it is on disk.

        :raises StorageError: if that failed; the transaction is undone.
        """
        finished = anyio.Event()
        outcome: list[Any] = []

        def done(result: R | None, error: StorageError | None) -> None:
            outcome.extend((result, error))
            finished.set()

        self.submit(work, done, frees=frees)
        await finished.wait()
        result, error = outcome
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return] # what the work has returned

    def ailment(self) -> str | None:
        """Tells if nothing is written any more: the disk hangs in a transaction, or the task that writes has ended."""
        if self._is_closing:
            return None
        if not self._is_running:
            return f"nothing is written to {self.file} any more"
        busy = time.monotonic() - self._busy_since if self._busy_since is not None else 0.0
        return f"a transaction in {self.file} has not ended for {busy:.0f} s" if busy > _HANGS else None

    def keep_time(self) -> None:
        """Writes how long the device has been powered, if that was last written a while ago."""
        if self.clock.now().powered - self._time_kept > _KEEP_TIME:
            self.submit(self._write_time, lambda _result, _error: None)

    async def watch(self, changed: Callable[[], None]) -> None:
        """Tells when another process has written to the file; runs as long as the bridge."""
        known: int | None = None
        while True:
            try:
                found: int = await self.run(lambda db: db.execute("PRAGMA data_version").fetchone()[0])
            except StorageError as error:
                logger.warning("%s", error)
            else:
                if known is not None and found != known:
                    changed()
                known = found
            await anyio.sleep(_LOOK)

    # --- the loop

    async def _work(self) -> None:
        try:
            while True:
                await self._wanted.wait()
                self._wanted = anyio.Event()
                while self._pending:
                    batch, self._pending = self._pending, []
                    outcomes: list[tuple[Any, StorageError | None]] = []
                    self._busy_since = time.monotonic()
                    with anyio.CancelScope(shield=True):
                        outcomes = await anyio.to_thread.run_sync(self._commit, batch, limiter=self._thread)
                    self._busy_since = None
                    for operation, (result, error) in zip(batch, outcomes, strict=True):
                        try:
                            operation.done(result, error)
                        except Exception:  # the others still have to be told
                            logger.exception("what follows a write to %s has failed", self.file)
                if self._is_closing:
                    return
        finally:
            self._is_running = False
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._close, limiter=self._thread)
            self._idle.set()
            for operation in self._pending:
                operation.done(None, self._failed("it is closed", full=False))

    def _commit(self, batch: list[_Operation]) -> list[tuple[Any, StorageError | None]]:
        try:
            results = self._transaction(batch)
        except Exception as error:  # noqa: BLE001 - told to whoever waits for it
            if len(batch) == 1:
                return [(None, self._explain(error))]
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                # Another process has the file: each of them would wait as long again.
                return [(None, self._explain(error)) for _ in batch]
            # One of them failed: each gets a transaction of its own.
            return [self._commit([operation])[0] for operation in batch]
        return [(result, None) for result in results]

    def _transaction(self, batch: list[_Operation]) -> list[Any]:
        try:
            return self._attempt(batch)
        except sqlite3.OperationalError as error:
            if not _may_be_full(error) or not all(operation.frees for operation in batch):
                raise
        # The log is as long as it may be, or the disk is full: what is in it goes to the file, and it begins anew. For
        # that the file may have to grow, by what is reserved at most.
        self._free_reserve()
        try:
            self._shorten_log()
            results = self._attempt(batch)
            self._give_back()
        finally:
            self._take_reserve()
        return results

    def _attempt(self, batch: list[_Operation]) -> list[Any]:
        if self._db is None:
            raise OSError(errno.EBADF, "it is closed")
        self._check_place()
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            before = db.total_changes
            results = [operation.work(db) for operation in batch]
            if db.total_changes != before:
                self._write_time(db)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        self._check_place()
        self.commits += 1
        return results

    def _write_time(self, db: sqlite3.Connection) -> None:
        powered, since_boot, boot_id = self.clock.state()
        for key, value in (("powered", powered), ("since_boot", since_boot), ("boot_id", boot_id)):
            schema.put(db, key, value)
        self._time_kept = powered

    def _check_place(self) -> None:
        """Sees that the file is where it was, for what is written to one that was removed is not on disk: then all that
        it holds is written to a new one.

        :raises OSError: if that cannot be.
        :raises sqlite3.Error: likewise.
        """
        try:
            if _inode(self.file) == self._inode:
                return
        except OSError:
            pass
        db = self._db
        assert db is not None
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self.file.with_name(f".new-{self.file.name}")
        new.unlink(missing_ok=True)
        os.close(os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        db.execute("VACUUM INTO ?", (str(new),))
        sync(new)
        for suffix in ("-wal", "-shm"):
            self.file.with_name(self.file.name + suffix).unlink(missing_ok=True)
        new.replace(self.file)
        sync(self.file.parent)
        db.close()
        self._db = schema.connect(self.file)
        self._inode = _inode(self.file)
        logger.error("%s was removed while it was in use; all that it held has been written to a new one", self.file)

    def _close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()

    # --- a full disk

    @property
    def _reserve(self) -> Path:
        return self.file.with_name("reserve")

    def _take_reserve(self) -> None:
        """Keeps some bytes, so that a full disk can be emptied: SQLite needs room to delete."""
        try:
            if not self._reserve.exists():
                handle = os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    os.posix_fallocate(handle, 0, _RESERVE)
                finally:
                    os.close(handle)
            self._lacks_reserve = False
        except OSError as error:
            self._free_reserve()
            if not self._lacks_reserve:
                self._lacks_reserve = True
                logger.warning("%s: no room to reserve for the day the disk is full: %s", self.file.parent, error)

    def _free_reserve(self) -> bool:
        try:
            self._reserve.unlink()
        except OSError:
            return False
        return True

    def _give_back(self) -> None:
        """Gives what the file does not need any more to the disk."""
        db = self._db
        assert db is not None
        try:
            schema.shrink(db, _GIVEN_BACK)
        except sqlite3.OperationalError as error:
            logger.debug("%s: nothing can be given back now: %s", self.file, error)
        self._shorten_log()

    def _shorten_log(self) -> None:
        db = self._db
        if db is None:
            return
        try:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.OperationalError as error:
            logger.debug("%s: the log cannot be brought in now: %s", self.file, error)

    # --- errors

    def _explain(self, error: Exception) -> StorageError:
        self.failures += 1
        if isinstance(error, StorageError):
            return error
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        return self._failed(str(error), full=code == sqlite3.SQLITE_FULL)

    def _failed(self, reason: str, *, full: bool) -> StorageError:
        status = StatusCode.INSUFFICIENT_STORAGE if full else StatusCode.SERVICE_UNAVAILABLE
        return StorageError(status, f"it could not be kept on disk: {self.file}: {reason}")


def resume(db: sqlite3.Connection, clock: PoweredClock) -> None:
    """Sets a clock to the powered time that is kept in a file."""
    powered, since_boot, boot_id = (schema.get(db, key) for key in ("powered", "since_boot", "boot_id"))
    # A whole number of seconds comes back as an integer.
    if isinstance(powered, int | float) and isinstance(since_boot, int | float):
        clock.resume(float(powered), float(since_boot), str(boot_id))


def _inode(file: Path) -> tuple[int, int]:
    found = file.stat()
    return found.st_dev, found.st_ino


def _may_be_full(error: sqlite3.Error | OSError) -> bool:
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    # A log that cannot grow is reported as an error of input and output, or as a file that cannot be opened, depending
    # on where it happens.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
