"""Median, 95th percentile and slope of a series."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, sqrt
from statistics import median

__all__ = ("binned", "percentile", "slope")


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of all do not exceed.

    >>> percentile([4, 1, 3, 2], 50), percentile(range(1, 101), 95)
    (2, 95)
    """
    return sorted(values)[max(0, ceil(len(values) * percent / 100) - 1)]


def slope(points: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """Theil–Sen: the median of the slopes between all pairs of points, and the ends of its 95 % confidence interval.

    The interval is Sen's: from how many pairs rise and fall by chance (Kendall), so that neither outliers nor the shape
    of the noise matter.

    :param points: at least three, at different places.

    >>> slope([(0, 1), (1, 3), (2, 5), (3, 7)])
    (2.0, 2.0, 2.0)
    """
    ordered = sorted(points)
    slopes = sorted(
        (y - other) / (x - place)
        for number, (place, other) in enumerate(ordered)
        for x, y in ordered[number + 1 :]
        if x > place
    )
    count, pairs = len(ordered), len(slopes)
    spread = 1.96 * sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low, high = floor((pairs - spread) / 2), ceil((pairs + spread) / 2)
    return median(slopes), slopes[max(0, low)], slopes[min(pairs - 1, high)]


def binned(points: Sequence[tuple[float, float]], width: float) -> list[tuple[float, float]]:
    """The medians of places and values of all points within each width.

    Neighbours in time are alike: without this a slope's interval would be far too narrow.

    >>> binned([(0, 1), (1, 3), (2, 5), (11, 7)], 10)
    [(1, 3), (11, 7)]
    """
    bins: dict[int, list[tuple[float, float]]] = {}
    start = min(x for x, _ in points)
    for x, y in points:
        bins.setdefault(int((x - start) // width), []).append((x, y))
    return [(median(x for x, _ in found), median(y for _, y in found)) for _, found in sorted(bins.items())]
