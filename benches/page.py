"""The results as the table of ``docs/performance.md``: no figure in it is typed by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .report import FILE, figure, short

__all__ = ("save", "table")

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
_BEGIN, _END = "<!-- written by make bench -->\n", "<!-- end of what make bench writes -->\n"
_MET = {True: "yes", False: "**no**", None: ""}


def save() -> Path:
    """Puts the results of ``benches/results.json`` into the page and returns where that is.

    :raises ValueError: if the page has no place for them.
    """
    text = PAGE.read_text("utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has no lines {_BEGIN.strip()!r} and {_END.strip()!r}")
    found = table(json.loads(FILE.read_text("utf-8")))
    PAGE.write_text(f"{before}{begin}\n{found}\n{end}{after}", "utf-8")
    return PAGE


def table(report: dict[str, Any]) -> str:
    """The results in Markdown, below the machine and the versions.

    >>> print(table({"machine": {"cores": 2}, "versions": {"python": "3.11"}, "results": [], "skipped": []}))
    cores 2; python 3.11.
    <BLANKLINE>
    | | what | ours | peer | ratio (spread) | goal | met | the peer |
    |---|---|---|---|---|---|---|---|
    <BLANKLINE>
    """
    where = "; ".join(f"{name} {value}" for part in ("machine", "versions") for name, value in report[part].items())
    rows = ["| | what | ours | peer | ratio (spread) | goal | met | the peer |", "|---|---|---|---|---|---|---|---|"]
    for one in report["results"]:
        sides = [f"{figure(one[side])} {one['unit']}" if one[side] is not None else "" for side in ("ours", "peer")]
        ratio = "" if one["ratio"] is None else short(one["ratio"])
        if one["spread"] is not None:
            ratio += f" ({'…'.join(short(value) for value in one['spread'])})"
        cells = one["id"], one["what"], *sides, ratio, one["goal"] or "", _MET[one["met"]], one["peer_name"]
        rows.append(f"| {' | '.join(cells)} |")
    rows += [f"| {one['id']} | {one['what']} | | | not measured: {one['why']} | | | |" for one in report["skipped"]]
    return "\n".join((f"{where}.", "", *rows, ""))
