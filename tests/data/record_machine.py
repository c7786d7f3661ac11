"""Records what a machine does, for the tests of `purista_fast.prepare`: python record_machine.py SECONDS > machine.csv.

Once a second, as Linux tells it in /proc: the wall clock (seconds since the first row), how busy the processors were
(percent since the row before), the load of the last minute, the memory that is available (MiB), and how often the
processors changed task (times a second).
"""

import sys
import time
from pathlib import Path


def counters() -> tuple[float, float, float]:
    """Jiffies in all and idle, and changes of task, since the start."""
    lines = Path("/proc/stat").read_text("ascii").splitlines()
    jiffies = [int(text) for text in lines[0].split()[1:9]]
    switches = next(int(line.split()[1]) for line in lines if line.startswith("ctxt "))
    return float(sum(jiffies)), float(jiffies[3] + jiffies[4]), float(switches)


def available() -> float:
    """MiB of memory that programs may have still."""
    lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) / 1024


def main(seconds: int) -> None:
    """Writes a row a second."""
    begin = before_at = time.time()
    before = counters()
    print("time,busy,load,available,switches")
    for _ in range(seconds):
        time.sleep(1.0)
        now, at = counters(), time.time()
        total, idle, switches = (new - old for new, old in zip(now, before, strict=True))
        busy = 100 * (1 - idle / total) if total else 0.0
        load = Path("/proc/loadavg").read_text("ascii").split()[0]
        print(f"{at - begin:.3f},{busy:.1f},{load},{available():.0f},{switches / (at - before_at):.0f}", flush=True)
        before, before_at = now, at


if __name__ == "__main__":
    main(int(sys.argv[1]))
