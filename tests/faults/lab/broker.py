"""A mosquitto that is killed, and what it had saved by then."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tests.mosquitto import Mosquitto
from tests.patience import patient

__all__ = ("FaultyBroker",)

_PATIENCE = patient(20.0)
_UNLIMITED = ("max_queued_messages 0",)
"""mosquitto drops what waits for a session beyond 1000 messages unless told otherwise."""


class FaultyBroker(Mosquitto):
    """The broker of one case, on an address that may lie in another network namespace.

    :param save_every: seconds between two savings of its database.
    :param window: how many messages it has under way with one client, in each direction; 0: 65535.
    """

    def __init__(
        self,
        folder: Path,
        *,
        persistence: bool = True,
        save_every: int = 1,
        host: str = "127.0.0.1",
        command: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        window: int = 100,
        lines: Iterable[str] = (),
    ) -> None:
        super().__init__(
            folder,
            lines=[*_UNLIMITED, f"max_inflight_messages {window}", f"autosave_interval {save_every}", *lines],
            persistence=persistence,
            log=("error", "warning", "notice", "information"),
        )
        self.folder = folder
        self.host = host
        self.command = command
        self.environment = environment or {}
        self.starts = 0

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        self.starts += 1
        super().start()

    def kill(self) -> tuple[float, float]:
        """SIGKILL; from when until when it had acknowledged what it had not saved, in seconds since 1970."""
        self.stop(signal.SIGKILL)
        return self.last_save(), time.time()

    def last_save(self) -> float:
        """When its database was written, in seconds since 1970; 0 for never."""
        try:
            return (self.folder / "mosquitto.db").stat().st_mtime
        except FileNotFoundError:
            return 0.0

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def wait_for_save(self) -> None:
        """Until all that it has acknowledged by now is in its database."""
        since, end = time.time(), time.monotonic() + _PATIENCE
        while self.last_save() <= since:
            assert time.monotonic() < end, "the broker does not save"
            time.sleep(0.02)

    def _answers(self) -> bool:
        # In another namespace nobody here can ask it; its log says the same.
        if not self.command:
            return super()._answers()
        log = self.folder / "mosquitto.log"
        return log.exists() and log.read_text().count(" running") >= self.starts
