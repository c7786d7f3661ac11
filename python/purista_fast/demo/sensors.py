"""The sensors of a Linux machine, read from /proc and /sys as they are."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct

__all__ = ("Reading", "Sensors")


class Reading(Struct, frozen=True):
    """One value of one sensor."""

    sensor: str
    value: float
    unit: str


class Sensors:
    """All sensors that this machine has. Rates and shares of time are those since the previous reading.

    ``missing`` lists what this machine does not have, and where it was looked for.

    :param root: the folder in which ``proc`` and ``sys`` are.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._counters: dict[str, float] = {}
        self._busy: dict[str, tuple[int, int]] = {}
        self._read_at = time.monotonic()
        self._elapsed = 0.0
        self._disks = self._find_disks()
        self._temperatures = self._find_temperatures()
        self._sources: list[Callable[[], Iterator[Reading]]] = []
        self.missing: list[str] = []
        for name, source, place in (
            ("processors", self._processors, "/proc/stat"),
            ("memory", self._memory, "/proc/meminfo"),
            ("disk", self._disk, "/proc/diskstats"),
            ("network", self._network, "/proc/net/dev"),
            ("temperatures", self._temperature, "/sys/class/thermal and /sys/class/hwmon"),
        ):
            try:
                found = list(source())
            except (OSError, ValueError, IndexError, KeyError):
                found = []
            # A counter gives its first rate with the second reading; it is there nevertheless.
            if found or any(key.startswith(f"{name} ") for key in (*self._counters, *self._busy)):
                self._sources.append(source)
            else:
                self.missing.append(f"{name} (nothing in {place})")

    def read(self) -> list[Reading]:
        """Reads all of them; a sensor that fails, as an unplugged one does, is left out. Blocks for a moment."""
        now = time.monotonic()
        self._elapsed, self._read_at = now - self._read_at, now
        found: list[Reading] = []
        for source in self._sources:
            try:
                found.extend(source())
            except (OSError, ValueError, IndexError, KeyError):
                continue
        return found

    def _processors(self) -> Iterator[Reading]:
        for line in self._lines("proc/stat"):
            if not line.startswith("cpu"):
                return
            name, *fields = line.split()
            # user nice system idle iowait irq softirq steal; guest times are part of user and nice already
            times = [int(field) for field in fields[:8]]
            total, idle = sum(times), times[3] + times[4]
            key = f"processors {name}"
            total_before, idle_before = self._busy.get(key, (total, idle))
            self._busy[key] = total, idle
            if total > total_before:
                share = 1 - (idle - idle_before) / (total - total_before)
                yield Reading(name, min(max(100 * share, 0.0), 100.0), "%")

    def _memory(self) -> Iterator[Reading]:
        fields = {
            name: int(rest.split()[0]) for name, _, rest in (s.partition(":") for s in self._lines("proc/meminfo"))
        }
        yield Reading("memory", 100 * (1 - fields["MemAvailable"] / fields["MemTotal"]), "%")

    def _disk(self) -> Iterator[Reading]:
        read = written = 0
        for line in self._lines("proc/diskstats"):
            fields = line.split()
            if fields[2] in self._disks:
                read += int(fields[5])
                written += int(fields[9])
        if self._disks:
            # A sector of these counters has 512 bytes, whatever the disk's has.
            yield from self._rate("disk read", read * 512)
            yield from self._rate("disk written", written * 512)

    def _network(self) -> Iterator[Reading]:
        lines = [line.partition(":") for line in self._lines("proc/net/dev")[2:]]
        counters = [rest.split() for name, _, rest in lines if name.strip() != "lo"]
        if counters:
            yield from self._rate("network received", sum(int(fields[0]) for fields in counters))
            yield from self._rate("network sent", sum(int(fields[8]) for fields in counters))

    def _temperature(self) -> Iterator[Reading]:
        for name, path in self._temperatures.items():
            try:
                yield Reading(name, int(path.read_text("ascii")) / 1000, "°C")
            except (OSError, ValueError):
                continue

    def _rate(self, name: str, count: int) -> Iterator[Reading]:
        before = self._counters.get(name)
        self._counters[name] = count
        if before is not None and self._elapsed > 0:
            yield Reading(name, max(count - before, 0) / self._elapsed / 1000, "kB/s")

    def _find_disks(self) -> frozenset[str]:
        """Whole disks; partitions and devices made of memory or files would be counted twice."""
        try:
            names = os.listdir(self._root / "sys/block")
        except OSError:
            return frozenset()
        return frozenset(name for name in names if not name.startswith(("loop", "ram", "zram", "dm-", "md")))

    def _find_temperatures(self) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for path in sorted(self._root.glob("sys/class/thermal/thermal_zone*/temp")):
            _add(found, _text(path.with_name("type")) or path.parent.name, path)
        for path in sorted(self._root.glob("sys/class/hwmon/hwmon*/temp*_input")):
            chip, label = _text(path.with_name("name")), _text(path.with_name(path.name.replace("_input", "_label")))
            _add(found, f"{chip} {label}".strip() or path.stem, path)
        return found

    def _lines(self, path: str) -> list[str]:
        return (self._root / path).read_text("ascii", "replace").splitlines()


def _add(found: dict[str, Path], name: str, path: Path) -> None:
    """Adds a sensor; the second of a name gets a number."""
    number = sum(known == name or known.startswith(f"{name} #") for known in found)
    found[f"{name} #{number + 1}" if number else name] = path


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
