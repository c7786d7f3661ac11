"""The supervisor of ``purista-fast run --workers N``: starts worker processes, and starts them again when they end.

A script for an interpreter of its own (:mod:`purista_fast.cli.workers` becomes it), with nothing but the standard
library: it lives as long as the workers do, and what it imports stays in memory. Towards the workers it is what
systemd is to a service: they report to its ``NOTIFY_SOCKET`` that they are ready, and that they are alive.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Mapping, Sequence

__all__ = ("Supervisor", "Worker")

ATTEMPTS = 5
"""How often in a row a worker may end soon after its start."""
STEADY = 10.0
"""How long a worker must have been ready not to count as one that ended soon after its start, in seconds."""
PAUSE = 0.5
"""The first pause before a worker is started again, in seconds; each further one is twice as long."""
PATIENCE = 1.0
"""How long what is told to systemd may wait for it, in seconds."""
_WRONG_USAGE = 2
_LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": 30, "ERROR": 40}
_PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3}
"""As the journal of systemd has them."""
_CREDENTIALS = struct.Struct("3i")
_AT_THE_END = (0, 128 + signal.SIGINT, -signal.SIGINT, -signal.SIGTERM)
"""How a worker may end that was told to; by a signal before it can take one."""


class Worker:
    """One worker, whether it runs or not."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.pid = 0
        self.due: float | None = None
        """When it is to be started."""
        self.ready: float | None = None
        """Since when it has been ready."""
        self.alive: float | None = None
        """When it last said that it is alive, if it ever did."""
        self.is_hanging = False
        """Whether it has been told to end because it was not alive."""
        self.failures = 0
        """How often in a row it ended soon after its start."""
        self.lifeline = -1
        """The end of a pipe that the worker has the other end of: it is told by the kernel when this one closes."""

    def __str__(self) -> str:
        return f"worker {self.number}"


class Supervisor:
    """Runs workers until it is told to stop.

    :param count: how many.
    :param command: the command line of each; which one it is says ``PURISTA_APP__WORKER``.
    :param level: from which level on it logs.
    :param environment: what it was started with.
    """

    def __init__(self, count: int, command: Sequence[str], level: str, environment: Mapping[str, str]) -> None:
        self.workers = [Worker(number) for number in range(1, count + 1)]
        self._command = list(command)
        self._level = _LEVELS[level]
        self._environment = {key: value for key, value in environment.items() if key != "WATCHDOG_PID"}
        self._outer = self._environment.pop("NOTIFY_SOCKET", "")
        mine = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        usec = environment.get("WATCHDOG_USEC", "") if mine else ""
        self._watchdog = int(usec) / 1e6 if usec.isdecimal() and int(usec) else None
        self._told = float("-inf")
        self._signals = self._obeyed = 0
        """How often it was told to stop, and how many of these it has obeyed."""
        self._is_stopping = self._was_ready = False
        self._code = 0

    def run(self) -> int:
        """Runs them, and returns the exit code."""
        woken, wake = os.pipe()
        os.set_blocking(woken, False)
        os.set_blocking(wake, False)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as self._reports:
            self._reports.setblocking(False)
            # The kernel says who sends, so that nobody else can report.
            self._reports.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            self._reports.bind("")  # the kernel finds an abstract name
            address: bytes = self._reports.getsockname()
            self._environment["NOTIFY_SOCKET"] = "@" + address[1:].decode()
            signal.set_wakeup_fd(wake)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._on_signal)
            signal.signal(signal.SIGCHLD, lambda *_: None)
            self._poll = select.poll()
            self._poll.register(woken, select.POLLIN)
            self._poll.register(self._reports, select.POLLIN)
            # The others follow once it is ready: what is wrong with all of them is told once.
            self.workers[0].due = time.monotonic()
            while not (self._is_stopping and all(not worker.pid for worker in self.workers)):
                self._start_those_due()
                self._poll.poll(self._patience())
                _empty(woken)
                self._hear()
                self._bury()
                self._obey()
                self._watch()
            return self._code

    # --- start

    def _start_those_due(self) -> None:
        for worker in self.workers:
            if worker.due is not None and worker.due <= time.monotonic():
                worker.due = None
                try:
                    self._start(worker)
                except OSError as error:
                    self._failed(worker, f"cannot be started: {error.strerror}", 1)

    def _start(self, worker: Worker) -> None:
        theirs, worker.lifeline = os.pipe()
        environment = {
            **self._environment,
            "PURISTA_APP__WORKER": str(worker.number),
            "PURISTA_LIFELINE": str(theirs),
        }
        os.set_inheritable(theirs, True)
        try:
            worker.pid = os.posix_spawn(self._command[0], self._command, environment)
        finally:
            os.close(theirs)
            if not worker.pid:
                os.close(worker.lifeline)
        worker.ready = worker.alive = None
        worker.is_hanging = False
        self._log("DEBUG", f"{worker} is started as process {worker.pid}")

    # --- what becomes of them

    def _hear(self) -> None:
        """Takes what workers report."""
        while True:
            try:
                data, ancillary, _, _ = self._reports.recvmsg(4096, socket.CMSG_SPACE(_CREDENTIALS.size))
            except BlockingIOError:
                return
            pid = next(
                (_CREDENTIALS.unpack(found[2])[0] for found in ancillary if found[1] == socket.SCM_CREDENTIALS), 0
            )
            worker = next((worker for worker in self.workers if pid and worker.pid == pid), None)
            if worker is None:
                continue
            lines = data.split(b"\n")
            if b"WATCHDOG=1" in lines:
                worker.alive = time.monotonic()
            for line in lines:
                if line.startswith(b"EXTEND_TIMEOUT_USEC="):  # what one needs, all of it needs
                    self._tell(line.decode("ascii", "replace"))
            if b"READY=1" in lines and worker.ready is None:
                worker.ready = time.monotonic()
                self._is_ready(worker)

    def _is_ready(self, worker: Worker) -> None:
        if self._is_stopping:
            return
        if not self._was_ready:
            for other in self.workers:
                if other is not worker and not other.pid and other.due is None:
                    other.due = time.monotonic()
        self._tell_how_many()
        if all(other.ready is not None for other in self.workers):
            self._log("INFO", f"all workers are ready: {len(self.workers)}")
            if not self._was_ready:
                self._tell("READY=1")
            self._was_ready = True

    def _bury(self) -> None:
        """Takes note of those that have ended; of the children of others as well, where it is the first process."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            worker = next((worker for worker in self.workers if worker.pid == pid), None)
            if worker is not None:
                os.close(worker.lifeline)
                worker.pid = 0
                self._ended(worker, os.waitstatus_to_exitcode(status))

    def _ended(self, worker: Worker, code: int) -> None:
        lasted = worker.ready is not None and time.monotonic() - worker.ready >= STEADY
        worker.ready = worker.alive = None
        if self._is_stopping:
            if code not in _AT_THE_END:
                self._log("ERROR", f"{worker} {_how(code)} instead of stopping")
                self._code = self._code or 1
            return
        if lasted:
            worker.failures = 0
        self._tell_how_many()
        self._failed(worker, _how(code), code if code > 0 else 1)

    def _failed(self, worker: Worker, how: str, code: int) -> None:
        """Has a worker started again, or gives up."""
        worker.failures += 1
        if code == _WRONG_USAGE and not self._was_ready:
            self._give_up(f"{worker} {how}: its arguments or its configuration are wrong", code)
        elif worker.failures >= ATTEMPTS:
            soon = f"{worker.failures} times in a row before it was ready for {STEADY:g} s; the last time it {how}"
            self._give_up(f"{worker} ended {soon}. What it logged says why", code)
        else:
            pause = PAUSE * 2 ** (worker.failures - 1)
            worker.due = time.monotonic() + pause
            self._log("WARNING", f"{worker} {how}; it is started again in {pause:g} s")

    def _give_up(self, why: str, code: int) -> None:
        self._log("ERROR", f"giving up: {why}")
        self._code = code
        self._stop(signal.SIGTERM)

    # --- stop

    def _on_signal(self, number: int, _: object) -> None:
        self._signals += 1
        self._last_signal = signal.Signals(number)

    def _obey(self) -> None:
        """Passes on what it was told: to finish, and when told again, to end at once."""
        while self._obeyed < self._signals:  # another one may come meanwhile
            self._obeyed += 1
            if self._obeyed > 1:
                self._log("WARNING", f"{self._last_signal.name} once more: the workers are killed")
                self._stop(signal.SIGKILL)
            elif not self._is_stopping:
                self._log("INFO", f"{self._last_signal.name}: stopping")
                self._stop(signal.SIGTERM)

    def _stop(self, number: signal.Signals) -> None:
        if not self._is_stopping:
            self._tell("STOPPING=1")
        self._is_stopping = True
        for worker in self.workers:
            worker.due = None
            if worker.pid:
                os.kill(worker.pid, number)

    # --- watchdog

    def _watch(self) -> None:
        """Ends workers that hang, and tells the watchdog of systemd that this process does not."""
        if self._watchdog is None:
            return
        now = time.monotonic()
        for worker in self.workers:
            if worker.pid and worker.alive is not None and now - worker.alive > self._watchdog:
                self._log("ERROR", f"{worker} has not been alive for {self._watchdog:g} s: it is killed")
                # One that is stopped, or hangs in its last words, does not end by SIGABRT.
                os.kill(worker.pid, signal.SIGKILL if worker.is_hanging else signal.SIGABRT)
                worker.is_hanging, worker.alive = True, now
        if now - self._told >= self._watchdog / 2:
            self._told = now
            self._tell("WATCHDOG=1")

    def _patience(self) -> float | None:
        """After how many milliseconds there is something to do without anything happening."""
        due = [worker.due for worker in self.workers if worker.due is not None]
        if self._watchdog is not None:
            due.append(time.monotonic() + self._watchdog / 4)
        return max(0.0, (min(due) - time.monotonic()) * 1000 + 1) if due else None

    # --- what it says

    def _tell_how_many(self) -> None:
        ready = sum(worker.ready is not None for worker in self.workers)
        self._tell(f"STATUS={ready} of {len(self.workers)} workers are ready")

    def _tell(self, text: str) -> None:
        """Tells systemd, where that has started this process."""
        if self._outer:
            address = "\0" + self._outer[1:] if self._outer.startswith("@") else self._outer
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                # Its queue may be full for a moment; but if nobody reads it, the workers are looked after all the same.
                out.settimeout(PATIENCE)
                try:
                    out.sendto(text.encode(), address)
                except OSError as error:
                    self._log("WARNING", f"NOTIFY_SOCKET {self._outer} takes nothing: {error.strerror or error}")

    def _log(self, level: str, text: str) -> None:
        """Logs in the form of :mod:`purista_fast.cli.logs`."""
        if _LEVELS[level] < self._level:
            return
        now = time.time()
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(now))
        head = f"<{_PRIORITIES[level]}>" if self._is_journal() else f"{moment}.{int(now % 1 * 1000):03d} {level:<7} "
        try:
            os.write(2, f"{head}purista_fast.workers: {text}\n".encode(errors="backslashreplace"))
        except OSError:
            # Nobody reads it any more; the workers go on.
            self._level = _LEVELS["ERROR"] + 1

    def _is_journal(self) -> bool:
        """Whether the log ends in the journal of systemd, which has the time itself."""
        named = self._environment.get("JOURNAL_STREAM")
        if not named:
            return False
        found = os.fstat(2)
        return named == f"{found.st_dev}:{found.st_ino}"


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _empty(pipe: int) -> None:
    try:
        while os.read(pipe, 4096):
            pass
    except BlockingIOError:
        pass


if __name__ == "__main__":
    sys.exit(Supervisor(int(sys.argv[2]), sys.argv[3:], sys.argv[1], os.environ).run())
