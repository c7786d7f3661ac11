"""``python -m benches.day``: what a day of a device costs, raw and prepared, written into ``docs/edge-to-cloud.md``.

Both ways run the same day: four sensors, read once a second, 345,600 samples, from a series that was recorded on a
machine (``tests/data/machine.csv``, 25 minutes, repeated). *raw*: every sample goes up. *prepared*: windows of a minute
are digested on the device, and those go up whose mean has changed by more than 5 %, or was not told for 15 minutes. The
bytes are those that crossed the link, TCP's and IP's own headers left out; up is from the device.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio

from examples.fleet.link import Link
from purista_fast import App, Context, Service

from .day_device import DAY, SENSORS, Digest, Sample, digest, sample
from .mqtt_broker import broker

__all__ = ("measure", "table")

PAGE = Path(__file__).parents[1] / "docs" / "edge-to-cloud.md"
_BEGIN, _END = "<!-- written by python -m benches.day -->\n", "<!-- end of what it writes -->\n"
_WAYS = {"raw": False, "prepared": True}


def measure(seconds: int) -> dict[str, dict[str, Any]]:
    """A day, or so many seconds of it, each way."""
    return {name: anyio.run(_live, is_prepared, seconds) for name, is_prepared in _WAYS.items()}


async def _live(is_prepared: bool, seconds: int) -> dict[str, Any]:
    arrived = 0
    cloud = Service("Cloud")

    @cloud.subscription(digest)
    async def take_digest(ctx: Context, payload: list[Digest]) -> None:
        nonlocal arrived
        arrived += 1

    @cloud.subscription(sample, concurrency=100)
    async def take_sample(ctx: Context, payload: Sample) -> None:
        nonlocal arrived
        arrived += 1

    with tempfile.TemporaryDirectory() as folder, broker(Path(folder) / "broker") as port:
        settings = {
            "bridge": {"url": f"mqtt://127.0.0.1:{port}", "instance_id": "cloud", "receive_maximum": 1000},
            "storage": {"state_dir": f"{folder}/cloud"},
        }
        async with App(cloud).serve(overrides=settings), anyio.create_task_group() as tasks:
            link = Link(port)
            await link.keep(tasks)
            told = {"prepared": is_prepared, "seconds": seconds, "port": link.port, "state": f"{folder}/state"}
            command = [sys.executable, "-m", "benches.day_device", json.dumps(told)]
            async with await anyio.open_process(command, stderr=None) as process:
                assert process.stdout is not None
                found = json.loads(b"".join([data async for data in process.stdout]))
            with anyio.fail_after(60):
                while arrived < found["events"]:
                    await anyio.sleep(0.05)
            tasks.cancel_scope.cancel()
    return {**found, "up": link.up_bytes, "down": link.down_bytes}


def table(found: dict[str, dict[str, Any]], seconds: int) -> str:
    """The figures in Markdown."""
    raw, prepared = found["raw"], found["prepared"]
    samples = seconds * len(SENSORS)
    head = (
        f"{samples:,} samples of {len(SENSORS)} sensors in {seconds:,} s of the device's time; "
        f"{platform.machine()}, {os.cpu_count()} cores, CPython {platform.python_version()}."
    )
    rows = [
        ("events up the link", "{:,.0f}", "events", 1),
        ("bytes up the link", "{:,.2f} MB", "up", 1e6),
        ("bytes down (acknowledgements)", "{:,.2f} MB", "down", 1e6),
        ("CPU of the device, user and system", "{:.1f} s", "cpu", 1),
        ("memory of the device, largest proportional set size", "{:.1f} MB", "pss", 1e6),
    ]
    lines = [head, "", "| | raw | prepared | raw / prepared |", "|---|---|---|---|"]
    for what, shape, key, unit in rows:
        one, other = raw[key], prepared[key]
        lines.append(f"| {what} | {shape.format(one / unit)} | {shape.format(other / unit)} | {one / other:.1f} |")
    return "\n".join(lines)


def save(text: str) -> None:
    """Puts the table into the page.

    :raises ValueError: if the page has no place for it.
    """
    page = PAGE.read_text("utf-8")
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has no lines {_BEGIN.strip()!r} and {_END.strip()!r}")
    PAGE.write_text(f"{before}{begin}\n{text}\n\n{end}{after}", "utf-8")


def main() -> None:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else DAY
    text = table(measure(seconds), seconds)
    print(text)
    if seconds == DAY:
        save(text)
        print(f"written: {PAGE}")


if __name__ == "__main__":
    main()
