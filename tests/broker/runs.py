"""``purista-fast run`` as a process, for tests that watch what it prints and logs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import anyio.to_thread

__all__ = ("Run",)


class Run:
    """``purista-fast run`` as a process, with what it prints and logs."""

    def __init__(self, folder: Path, words: list[str], environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "purista_fast.cli", *words],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.printed: list[str] = []
        self.logged: list[str] = []
        self._threads = [
            threading.Thread(target=lines.extend, args=(stream,), daemon=True)
            for lines, stream in ((self.printed, self.process.stdout), (self.logged, self.process.stderr))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def log(self) -> str:
        return "".join(self.logged)

    def workers(self) -> dict[int, int]:
        """The process of each worker, as the supervisor tells them."""
        return {
            int(number): int(pid) for number, pid in re.findall(r"worker (\d+) is started as process (\d+)", self.log)
        }

    def of(self, kind: str) -> list[list[str]]:
        """What the lines of a kind say that were printed."""
        return [line.split()[1:] for line in list(self.printed) if line.startswith(f"{kind} ")]

    async def ended(self) -> int:
        """Its exit code, once all of it has ended."""
        code = await anyio.to_thread.run_sync(self.process.wait, 20)
        for thread in self._threads:
            await anyio.to_thread.run_sync(thread.join, 20)  # the pipes close with the last worker
            assert not thread.is_alive()
        self.close()
        return code

    def close(self) -> None:
        """Ends all that is left of it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            for pid in self.workers().values():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for thread, stream in zip(self._threads, (self.process.stdout, self.process.stderr), strict=True):
            thread.join()
            assert stream is not None
            if not stream.closed:
                stream.close()
