"""Draws ``docs/bench.svg``: how many times better than its peer each figure is, with a mark where the goal is.

One row for each id and goal, its worst result; the scale is logarithmic. The picture brings its own background, so that
it can be read on light and on dark pages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from .harness import Result

__all__ = ("FILE", "draw", "save")

FILE = Path(__file__).parents[1] / "docs" / "bench.svg"

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW = 980, 430, 150, 80, 24
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 100, 1000, 10_000)
_LABEL = 62
"""How many characters fit to the left of the bars."""
_STYLE = """
  .ground { fill: #ffffff; stroke: #d1d9e0; }
  text { font: 12px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328; }
  .title { font-weight: 600; font-size: 14px; }
  .faint { fill: #59636e; }
  .grid { stroke: #d1d9e0; }
  .one { stroke: #59636e; }
  .goal { stroke: #1f2328; stroke-width: 2.5; }
  .met { fill: #0969da; }
  .missed { fill: #ffffff; stroke: #bc4c00; stroke-width: 1.5; }
  .shown { fill: #8c959f; }
  .number { font-variant-numeric: tabular-nums; }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117; stroke: #3d444d; }
    text { fill: #f0f6fc; }
    .faint { fill: #9198a1; }
    .grid { stroke: #2a313a; }
    .one { stroke: #9198a1; }
    .goal { stroke: #f0f6fc; }
    .met { fill: #4493f8; }
    .missed { fill: #0d1117; stroke: #f0883e; }
    .shown { fill: #656c76; }
  }
"""


def save(results: Sequence[Result], machine: str) -> Path:
    """Writes the picture and returns where it is."""
    FILE.write_text(draw(results, machine), "utf-8")
    return FILE


def draw(results: Sequence[Result], machine: str) -> str:
    """The picture.

    :param machine: on which it was measured.
    """
    rows = chosen(results)
    values = [value for result in rows for value in (advantage(result), wanted(result)) if value]
    least, most = min(0.5, *values), max(20.0, *values)
    scale = (_WIDTH - _LEFT - _RIGHT) / math.log(most / least)
    height = _TOP + _ROW * len(rows) + 34

    def at(value: float) -> str:
        return f"{_LEFT + scale * math.log(value / least):.1f}"

    bottom = _TOP + _ROW * len(rows)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
        ' role="img" aria-labelledby="title">',
        f"<style>{_STYLE}</style>",
        f'<rect class="ground" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1}" rx="6"/>',
        '<text id="title" class="title" x="16" y="24">purista-fast beside its peers: how many times better</text>',
        '<text class="faint" x="16" y="42">Right of 1 × is better than the peer. The mark is the goal; a hollow bar'
        " missed it, a grey one has none. The scale is logarithmic.</text>",
        f'<text class="faint" x="16" y="59">{escape(machine)}</text>',
    ]
    for tick in _TICKS:
        if least <= tick <= most:
            kind = "one" if tick == 1 else "grid"
            lines.append(f'<line class="{kind}" x1="{at(tick)}" x2="{at(tick)}" y1="{_TOP - 6}" y2="{bottom + 4}"/>')
            lines.append(
                f'<text class="faint number" x="{at(tick)}" y="{bottom + 20}" text-anchor="middle">{tick:g} ×</text>'
            )
    for number, result in enumerate(rows):
        lines += _row(result, _TOP + _ROW * number, at)
    return "\n".join([*lines, "</svg>", ""])


def chosen(results: Sequence[Result]) -> list[Result]:
    """The worst result of each id and goal; what has no peer is left out, and what is only shown unless it is A3."""
    worst: dict[tuple[str, str], Result] = {}
    for result in results:
        if result.ratio is None or result.peer is None or (result.goal is None and result.id != "A3"):
            continue
        key = (result.id, str(result.goal) if result.goal else result.peer_name)
        if result.goal is not None and key in worst:
            result = min(worst[key], result, key=advantage)
        worst[key] = result
    return list(worst.values())


def advantage(result: Result) -> float:
    """How many times better than the peer: less time or memory, or more per second."""
    assert result.peer is not None
    assert result.ratio is not None
    is_share = result.goal is not None and result.goal.kind == "at most"
    return 1 / result.ratio if is_share else result.ratio


def wanted(result: Result) -> float | None:
    """What the goal asks for, by the same measure."""
    if result.goal is None:
        return None
    return 1 / result.goal.limit if result.goal.kind == "at most" else result.goal.limit


def _row(result: Result, top: int, at: Callable[[float], str]) -> list[str]:
    value, goal = advantage(result), wanted(result)
    left, right = sorted((float(at(1)), float(at(value))))
    middle = top + 12
    kind = {True: "met", False: "missed", None: "shown"}[result.met]
    said = f"{_times(value)} ×" + ("" if goal is None else f", goal {_times(goal)}")
    peer = f" / {result.peer_name}"
    if len(result.what + peer) > _LABEL:
        peer = peer[: _LABEL - len(result.what) - 1] + "…"
    lines = [
        f'<text x="16" y="{middle + 4}">{escape(result.id)}</text>',
        f'<text x="48" y="{middle + 4}">{escape(result.what)}<tspan class="faint">{escape(peer)}</tspan></text>',
        f'<rect class="{kind}" x="{left}" y="{top + 5}" width="{max(1.5, right - left):.1f}" height="14"/>',
        f'<text class="number" x="{_WIDTH - _RIGHT + 12}" y="{middle + 4}">{said}</text>',
    ]
    if goal is not None:
        lines.append(f'<line class="goal" x1="{at(goal)}" x2="{at(goal)}" y1="{top + 1}" y2="{top + 23}"/>')
    return lines


def _times(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if value < 10 else f"{value:,.0f}"
