"""``benches/footprint.json``, and its tables in ``docs/footprint.md``: no figure of this machine is typed by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

__all__ = ("save", "tables")

FILE = Path(__file__).parents[1] / "footprint.json"
PAGE = Path(__file__).parents[2] / "docs" / "footprint.md"
_BEGIN, _END = "<!-- written by make footprint -->\n", "<!-- end of what make footprint writes -->\n"
GOALS = {"memory": 18.0, "mqtt": 21.0}
"""For an idle application, in MB."""
_RECORDED = (
    ("PURISTA 2.0.5 (TypeScript, Node 20), in memory, idle", "81", "proportional set size, measured in November 2026"),
    ("PURISTA 2.0.5, MQTT, idle", "96", "the same"),
    ("AWS Greengrass lite (C), 1 message a second", "12.4 to 15.8", "its own report, armv7 to aarch64"),
    ("thin-edge.io (Rust)", "8", "its own page: resident set of each of its processes"),
)


def save(found: dict[str, Any]) -> list[Path]:
    """Writes the file and fills the page, and returns both.

    :raises ValueError: if the page has no place for the tables.
    """
    text = PAGE.read_text("utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has no lines {_BEGIN.strip()!r} and {_END.strip()!r}")
    FILE.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    PAGE.write_text(f"{before}{begin}\n{tables(found)}\n{end}{after}", "utf-8")
    return [FILE, PAGE]


def tables(found: dict[str, Any]) -> str:
    """All tables in Markdown."""
    used = found["options"]
    where = "; ".join(f"{name} {value}" for part in ("machine", "versions") for name, value in found[part].items())
    load = f"{min(found['load']):.1f} to {max(found['load']):.1f}"
    parts = [
        f"{where}. {used['runs']} runs of {used['minutes']:g} minutes after {used['warm_up']:g} s of warm-up, "
        f"{used['hour']:g} minutes for what is to run an hour; load average of the machine {load}.",
        "### Memory and CPU\n",
        *_at_work(found),
        "### Start-up\n",
        _table(
            ("", "ready after, ms, least", "median", "starts"),
            ((one["what"], one["least"], one["median"], one["starts"]) for one in found["start"]),
        ),
        "### A backlog\n",
        _backlog(found["drains"]),
        "### Under limits\n",
        _limits(found["limits"]),
        "### An hour at 100 events a second\n",
        *_hour(found["hour"]),
        "### On disk\n",
        _disk(found),
    ]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def _at_work(found: dict[str, Any]) -> list[str]:
    rows = []
    for case in found["cases"]:
        runs = case["runs"]
        cpu = median(run["cpu_seconds_a_minute"] for run in runs)
        rows.append(
            (
                _name(case) + ("" if len(runs) == found["options"]["runs"] else f" ({len(runs)} runs)"),
                f"{median(run['median'] for run in runs):.1f}",
                f"{max(run['p95'] for run in runs):.1f}",
                f"{median(run['resident'] for run in runs):.1f}",
                f"{cpu:.2f}",
                f"{cpu / 0.6:.2g} %",
                _rate([run["a_second"] for run in runs]) if case["rate"] else "",
            )
        )
    rows += [(f"{name} *(recorded)*", figure, "", "", "", "", what) for name, figure, what in _RECORDED]
    head = ("", "median, MB", "p95, MB", "resident, MB", "CPU s a minute", "of a core", "handled a second")
    return [_table(head, rows), _goals(found)]


def _goals(found: dict[str, Any]) -> str:
    """Whether an idle application takes what it may, by both rules."""
    rows = []
    for case in found["cases"]:
        if case["who"] != "purista-fast" or case["rate"]:
            continue
        goal = GOALS[case["bridge"]]
        alone = median(run["median"] for run in case["runs"])
        paired = median(run["paired"] for run in case["runs"])
        figures = f"{alone:.1f}", _met(alone <= goal), f"{paired:.1f}", _met(paired <= goal)
        rows.append((_name(case), f"≤ {goal:g}", *figures))
    head = ("", "goal, MB", "alone", "met", "beside another of its kind", "met")
    return _table(head, rows)


def _backlog(drains: list[dict[str, Any]]) -> str:
    head = ("events waited", "median, MB", "most, MB", "events", "took, s", "a second", "CPU s, start included")
    return _table(
        head,
        (
            (
                _WAITED[one["what"]],
                f"{one['median']:.1f}",
                f"{one['most']:.1f}",
                f"{one['count']:,}",
                one["seconds"],
                f"{one['a_second']:,}",
                f"{one['cpu_seconds']:.1f}",
            )
            for one in drains
        ),
    )


def _limits(limits: dict[str, Any]) -> str:
    if "missing" in limits:
        return f"Not measured: {limits['missing']}."
    rows = []
    for one in (*limits["kept"], *limits["drained"]):
        name = _WAITED.get(one["what"]) or _CASE[one["what"]]
        rows.append(
            (
                name,
                f"{one['median']:.1f}",
                f"{one['most']:.1f}",
                "" if one["group_peak"] is None else one["group_peak"],
                one["killed"],
                f"{one['throttled_seconds']:g}",
                f"{one['a_second']:g}" if one["handled"] else "",
            )
        )
    head = ("", "median, MB", "most, MB", "charged at most, MB", "killed", "held back, s", "handled a second")
    version = limits["kept"][0]["cgroup"]
    sizes = f"{limits['memory'] // 2**20} MiB of memory and {limits['processor']:g} of a core by cgroup v{version}"
    return f"{sizes}, from the first instruction on.\n\n{_table(head, rows)}"


def _hour(hours: list[dict[str, Any]]) -> Iterable[str]:
    rows = [
        (
            f"{one['bridge']}://",
            f"{one['minutes']:g}",
            f"{one['handled']:,} of {one['emitted']:,}",
            f"{one['points'][0]:.2f}",
            f"{one['points'][-1]:.2f}",
            f"{one['most']:.2f}",
            f"{one['slope'] / 1e3:+.1f}",
            f"{one['slope_from'] / 1e3:+.1f} to {one['slope_to'] / 1e3:+.1f}",
        )
        for one in hours
    ]
    head = ("", "minutes", "handled of emitted", "first minute, MB", "last minute, MB", "most, MB", "slope, kB an hour")
    yield _table((*head, "95 % interval"), rows)


def _disk(found: dict[str, Any]) -> str:
    disk = found["disk"]
    rows = [
        ("the wheel", f"{found['wheel'] / 1e6:.2f}"),
        *((f"site-packages, {name}", f"{size / 1e6:.2f}") for name, size in disk.items()),
    ]
    return _table(("", "MB"), rows)


_WAITED = {"from disk": "on disk, for the broker", "from the broker": "in the broker, for a subscription"}
_CASE = {
    "purista-fast-memory-0-paho": "idle on memory://",
    "purista-fast-memory-100-paho": "100 events a second on memory://",
    "purista-fast-mqtt-0-paho": "idle on mqtt://",
    "purista-fast-mqtt-100-paho": "100 events a second on mqtt://",
}


def _name(case: dict[str, Any]) -> str:
    rate = f"{case['rate']:,} a second" if case["rate"] else "idle"
    rate += ", the side that emits" if case["emits"] else ""
    rate += ", transport native" if case["transport"] == "native" else ""
    return f"{case['who']}, {case['bridge']}://, {rate}"


def _rate(rates: list[float | None]) -> str:
    told = [rate for rate in rates if rate is not None]
    return f"{median(told):g}" if told else "it did not tell"


def _met(is_met: bool) -> str:
    return "yes" if is_met else "**no**"


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
