"""A control group that limits what a process may use of the device: cgroup v2, or v1 where there is no v2."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

__all__ = ("Group", "GroupMissing")

_ROOT = Path("/sys/fs/cgroup")
_PERIOD = 100_000
"""In which a part of a processor is counted out, in microseconds: the kernel's default."""


class GroupMissing(RuntimeError):  # noqa: N818 - the machine's fault, not ours
    """This machine does not let us make one."""


class Group:
    """A control group of its own.

    :param memory: how many bytes its processes may use together.
    :param processor: which part of one core they may use.
    :raises GroupMissing: if the machine does not allow it, with the reason.
    """

    def __init__(self, name: str, memory: int, processor: float) -> None:
        unique = f"purista-fast-{os.getpid()}-{name}"
        self.version = 2 if (_ROOT / "cgroup.controllers").exists() else 1
        if self.version == 2:
            self._memory = self._cpu = _ROOT / unique
            limits = {
                self._memory / "memory.max": memory,
                self._cpu / "cpu.max": f"{int(processor * _PERIOD)} {_PERIOD}",
            }
            enable = [(_ROOT / "cgroup.subtree_control", "+memory +cpu")]
        else:
            self._memory, self._cpu = _ROOT / "memory" / unique, _ROOT / "cpu" / unique
            limits = {
                self._memory / "memory.limit_in_bytes": memory,
                self._cpu / "cpu.cfs_period_us": _PERIOD,
                self._cpu / "cpu.cfs_quota_us": int(processor * _PERIOD),
            }
            enable = []
        try:
            for file, text in enable:
                file.write_text(text, "ascii")
            for folder in self._folders:
                folder.mkdir()
            for file, value in limits.items():
                file.write_text(str(value), "ascii")
        except OSError as error:
            self.remove()
            raise GroupMissing(f"cgroup v{self.version}: {error.strerror} ({error.filename})") from error

    @property
    def _folders(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys((self._memory, self._cpu)))

    def command(self, words: list[str]) -> list[str]:
        """The command that runs another one within the group from its first instruction on."""
        enter = "; ".join(f"echo $$ > '{folder}/cgroup.procs'" for folder in self._folders)
        return ["/bin/sh", "-ec", f'{enter}; exec "$@"', "sh", *words]

    def peak(self) -> int | None:
        """The most memory that the group had, in bytes; ``None`` where the kernel does not tell (Linux before 5.19)."""
        file = self._memory / ("memory.peak" if self.version == 2 else "memory.max_usage_in_bytes")
        return int(file.read_text("ascii")) if file.exists() else None

    def killed(self) -> int:
        """How many of its processes the kernel has killed for want of memory."""
        return _of(self._memory / ("memory.events" if self.version == 2 else "memory.oom_control"), "oom_kill")

    def throttled(self) -> float:
        """For how many seconds its processes were held back."""
        if self.version == 2:
            return _of(self._cpu / "cpu.stat", "throttled_usec") / 1e6
        return _of(self._cpu / "cpu.stat", "throttled_time") / 1e9

    def remove(self) -> None:
        """Takes it away; its processes must have ended."""
        for folder in self._folders:
            with suppress(FileNotFoundError):
                folder.rmdir()


def _of(file: Path, name: str) -> int:
    return next(int(line.split()[1]) for line in file.read_text("ascii").splitlines() if line.split()[0] == name)
