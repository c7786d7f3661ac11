"""States in a SQLite file of the state directory, which the processes of one application may share."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import anyio
from anyio import to_thread

from ..errors import StatusCode
from ..storage import schema, states
from ..storage.clock import Moment, PoweredClock
from ..storage.damage import is_damage
from ..storage.database import StorageError, resume
from ..storage.states_damage import open_shared
from .states import add

__all__ = ("SqliteStates",)

R = TypeVar("R")
logger = logging.getLogger("purista_fast.storage")
_PURGE = 60.0
"""How often what is over is removed, in seconds."""


class _Operation:
    """Something to do in a transaction, and what has become of it."""

    __slots__ = ("error", "is_done", "is_wanted", "result", "work", "writes")

    def __init__(self, work: Callable[[sqlite3.Connection, Moment], Any], *, writes: bool) -> None:
        self.work = work
        self.writes = writes
        self.is_wanted = True
        self.is_done = False
        self.result: Any = None
        self.error: StorageError | TypeError | OverflowError | None = None


class SqliteStates:
    """``states.db``. It is opened by whoever first uses it; what waits at the same time goes to disk together.

    :param file: where it is; its folder is made.
    :param max_bytes: how large it may become.
    """

    def __init__(self, file: Path, clock: PoweredClock, max_bytes: int) -> None:
        self.file = file
        self.clock = clock
        self._pages = max_bytes // schema.PAGE
        self._db: sqlite3.Connection | None = None
        self._handle: int | None = None
        self._inode = (0, 0)
        self._purged = float("-inf")
        self._is_closed = False
        self._waiting: deque[_Operation] = deque()
        self._turn = anyio.Lock()
        # A caller that is cancelled without regard to scopes, as asyncio can do, leaves a thread behind.
        self._in_thread = threading.Lock()

    # --- what a store does: see StateStore

    async def get(self, service: str, key: str) -> bytes | None:
        """See :class:`purista_fast.stores.states.StateStore`, as are the others.

        :raises StorageError: if it cannot be read.
        """

        def work(db: sqlite3.Connection, now: Moment) -> bytes | None:
            found = states.find(db, service, key, now)
            return None if found is None else found[0]

        return await self._run(work, writes=False)

    async def set(self, service: str, key: str, value: bytes, ttl: float | None) -> None:
        """As above.

        :raises StorageError: 507 if it or the disk is full, else 503.
        """
        await self._run(lambda db, now: states.put(db, service, key, value, ttl, now))

    async def remove(self, service: str, key: str) -> bool:
        """As above.

        :raises StorageError: if it cannot be written.
        """

        def work(db: sqlite3.Connection, now: Moment) -> bool:
            was_there = states.is_there(db, service, key, now)
            states.delete(db, service, key)
            return was_there

        return await self._run(work)

    async def compare_and_set(
        self, service: str, key: str, expected: bytes | None, value: bytes, ttl: float | None
    ) -> bool:
        """As above.

        :raises StorageError: 507 if it or the disk is full, else 503.
        """

        def work(db: sqlite3.Connection, now: Moment) -> bool:
            found = states.find(db, service, key, now)
            if (None if found is None else found[0]) != expected:
                return False
            states.put(db, service, key, value, ttl, now)
            return True

        return await self._run(work)

    async def increment(self, service: str, key: str, by: float, ttl: float | None) -> int | float:
        """As above.

        :raises StorageError: 507 if it or the disk is full, else 503.
        :raises TypeError: if there is something else than a number.
        :raises OverflowError: if the sum is too large.
        """

        def work(db: sqlite3.Connection, now: Moment) -> int | float:
            found = states.find(db, service, key, now)
            value, total = add(None if found is None else found[0], by, f"{service}/{key}")
            if found is None:
                states.put(db, service, key, value, ttl, now)
            else:
                states.put_until(db, service, key, value, found[1:])
            return total

        return await self._run(work)

    async def close(self) -> None:
        """As above."""
        self._is_closed = True
        async with self._turn:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(self._close_last)

    # --- transactions

    async def _run(self, work: Callable[[sqlite3.Connection, Moment], R], *, writes: bool = True) -> R:
        operation = _Operation(work, writes=writes)
        self._waiting.append(operation)
        try:
            async with self._turn:
                # Whoever had the turn before may have done it.
                if not operation.is_done:
                    await to_thread.run_sync(self._commit)
        except BaseException:
            operation.is_wanted = False
            raise
        if operation.error is not None:
            raise operation.error
        result: R = operation.result
        return result

    def _commit(self) -> None:
        """Does what waits; in a thread."""
        with self._in_thread:
            batch: list[_Operation] = []
            while self._waiting:
                operation = self._waiting.popleft()
                if operation.is_wanted:
                    batch.append(operation)
            if batch:
                self._do(batch)
            for operation in batch:
                operation.is_done = True

    def _do(self, batch: list[_Operation]) -> None:
        try:
            results = self._transaction(batch)
        except Exception as error:  # noqa: BLE001 - told to whoever waits for it
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if len(batch) == 1 or self._db is None or code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                # It cannot be opened, or another process has it: each of them would wait as long again.
                for operation in batch:
                    operation.error = self._explain(error)
                return
            # One of them failed: each gets a transaction of its own.
            for operation in batch:
                self._do([operation])
            return
        for operation, result in zip(batch, results, strict=True):
            operation.result = result

    def _transaction(self, batch: list[_Operation]) -> list[Any]:
        try:
            return self._attempt(batch)
        except sqlite3.OperationalError as error:
            if not _is_full(error) or self._db is None:
                raise
        # Room is made by what is over, and by what of the log is in the file.
        self._purged = float("-inf")
        with suppress(sqlite3.OperationalError):  # what follows says more
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return self._attempt(batch)

    def _attempt(self, batch: list[_Operation]) -> list[Any]:
        if self._is_closed:
            raise OSError(errno.EBADF, "it is closed: the application has stopped")
        db, writes = self._opened(), any(operation.writes for operation in batch)
        db.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
        try:
            now = self.clock.now()
            if writes and now.powered - self._purged > _PURGE:
                is_all = states.purge(db, now)
                self._purged = now.powered if is_all else float("-inf")
            before = db.total_changes
            results = [operation.work(db, now) for operation in batch]
            if db.total_changes != before:
                for key, value in zip(("powered", "since_boot", "boot_id"), self.clock.state(), strict=True):
                    schema.put(db, key, value)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        if writes and not self._is_in_place():
            raise OSError(errno.ENOENT, "it was removed while it was written")
        return results

    # --- the file

    def _opened(self) -> sqlite3.Connection:
        if self._db is not None and not self._is_in_place():
            logger.error("%s was removed while it was in use: what it held is gone, a new one is made", self.file)
            self._close()
        if self._db is None:
            self._db, self._handle, damage = open_shared(self.file)
            if damage is not None:
                logger.error("%s was %s", self.file, damage)
            self._db.execute(f"PRAGMA max_page_count = {self._pages}")
            resume(self._db, self.clock)
            found = self.file.stat()
            self._inode = found.st_dev, found.st_ino
        return self._db

    def _is_in_place(self) -> bool:
        try:
            found = self.file.stat()
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) == self._inode

    def _close_last(self) -> None:
        with self._in_thread:  # one that was left behind may be in the middle of something
            self._close()

    def _close(self) -> None:
        db, self._db = self._db, None
        handle, self._handle = self._handle, None
        if db is not None:
            db.close()
        if handle is not None:
            os.close(handle)

    # --- errors

    def _explain(self, error: Exception) -> StorageError | TypeError | OverflowError:
        if isinstance(error, TypeError | OverflowError):
            return error
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        what = f"states cannot be kept in {self.file}: {' '.join(str(error).split())}"
        if isinstance(error, RuntimeError):
            return StorageError(StatusCode.SERVICE_UNAVAILABLE, what)
        if isinstance(error, schema.BROKEN) and is_damage(error):
            self._close()  # whoever opens it next repairs it
        if code == sqlite3.SQLITE_FULL and self._is_at_bound():
            told = f"{what}: states.max_bytes allows {self._pages * schema.PAGE} bytes. Remove states, give them a ttl"
            return StorageError(StatusCode.INSUFFICIENT_STORAGE, f"{told}, or allow more")
        if code == sqlite3.SQLITE_FULL or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            return StorageError(StatusCode.INSUFFICIENT_STORAGE, f"{what}; free the disk")
        return StorageError(
            StatusCode.SERVICE_UNAVAILABLE,
            f"{what}; repair its rights or the disk, or set storage.state_dir to another folder",
        )

    def _is_at_bound(self) -> bool:
        try:
            return self._db is not None and self._db.execute("PRAGMA page_count").fetchone()[0] >= self._pages
        except sqlite3.Error:  # what failed before says more
            return False


def _is_full(error: sqlite3.OperationalError) -> bool:
    return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
