"""Programs that run as processes of their own, and what can be done to them."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.patience import patient

__all__ = ("PATIENCE", "Program")

PATIENCE = 30.0
PROGRAMS = Path(__file__).resolve().parents[1] / "programs"
ROOT = PROGRAMS.parents[2]


class Program:
    """A running program of ``tests/faults/programs``.

    :param what: its settings; the program gets them as one JSON argument.
    :param prefix: a command that starts it: in another network namespace, say.
    :param environment: variables beside those of this process.
    :param log: where its standard error goes; appended to.
    """

    def __init__(
        self,
        script: str,
        what: Mapping[str, Any],
        *,
        log: Path,
        backend: str = "asyncio",
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        python: str = sys.executable,
    ) -> None:
        self.log = log
        path = f"{ROOT / 'python'}:{ROOT}"
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [*prefix, python, str(PROGRAMS / script), json.dumps(what), backend],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **(environment or {})},
            )
        self._lines: queue.SimpleQueue[list[Any] | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """``None`` while it runs."""
        return self._process.poll()

    @property
    def memory(self) -> int:
        """Resident bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))

    def wait_for(self, kind: str, patience: float = PATIENCE) -> list[Any]:
        """The next line that begins with this word.

        :raises AssertionError: if it ends before, or does not come in time.
        """
        end = time.monotonic() + patient(patience)
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {kind!r} within {patience} s; its log ends with:\n{self.tail()}") from None
            if line is None:
                self._lines.put(None)
                code = self._process.wait(patient(PATIENCE))
                raise AssertionError(f"it ended with {code} before {kind!r}; its log ends with:\n{self.tail()}")
            if line[0] == kind:
                return line[1:]

    def ask(self, *words: Any, patience: float = PATIENCE) -> Any:
        """Sends a line; the answer begins with the same word."""
        self.tell(*words)
        return self.wait_for(words[0], patience)[0]

    def tell(self, *words: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words).encode() + b"\n")
        self._process.stdin.flush()

    def tail(self, lines: int = 25) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and the end of it."""
        self._process.kill()
        self._close()

    def finish(self, patience: float = PATIENCE) -> int:
        """Has it stop in order; its exit code."""
        assert self._process.stdin is not None
        if not self._process.stdin.closed:
            with suppress(BrokenPipeError):  # it has ended already
                self._process.stdin.close()
        return self.wait(patience)

    def wait(self, patience: float = PATIENCE) -> int:
        """Waits for its end; the exit code."""
        try:
            return self._process.wait(patient(patience))
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {patience} s; its log ends with:\n{self.tail()}") from None
        finally:
            if self._process.poll() is not None:
                self._close()

    def _close(self) -> None:
        self._process.wait(patient(PATIENCE))
        self._reader.join(patient(PATIENCE))
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):  # what was to be written has no reader any more
                stream.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put(None)
