"""What is known of some values without keeping them: Welford's mean and deviation, and the rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import floor, sqrt

from msgspec import Struct, field

__all__ = ("Figures", "joined", "percentile", "percentiles")


class Figures(Struct):
    """Figures of at least one value."""

    count: int
    mean: float
    squares: float
    """The sum of the squared distances from the mean."""
    min: float
    max: float
    last: float
    last_at: float
    """The time of the last value, in seconds."""
    values: list[float] = field(default_factory=list)
    """All values, if they are kept and not too many; else none."""

    @classmethod
    def of(cls, time: float, value: float, *, keeps: bool) -> Figures:
        """Those of one value.

        :param keeps: whether values are kept.
        """
        return cls(1, value, 0.0, value, value, value, time, [value] if keeps else [])

    def add(self, time: float, value: float, most: int) -> None:
        """Takes a value in.

        :param most: how many values may be kept.
        """
        is_whole = len(self.values) == self.count
        self.count += 1
        distance = value - self.mean
        self.mean += distance / self.count
        self.squares += distance * (value - self.mean)
        self.min = min(self.min, value)
        self.max = max(self.max, value)
        if time >= self.last_at:
            self.last, self.last_at = value, time
        if is_whole and self.count <= most:
            self.values.append(value)
        else:
            self.values = []

    @property
    def deviation(self) -> float:
        """The standard deviation of these values (of all of them, not of a sample)."""
        return sqrt(max(self.squares, 0.0) / self.count)


def joined(parts: Sequence[Figures], most: int) -> Figures:
    """The figures of all values of several parts, of which there must be one; the parts stay as they are.

    :param most: how many values may be kept.
    """
    count = sum(part.count for part in parts)
    mean = parts[0].mean
    if len(parts) > 1:
        # Distances from one of the means: sums of large numbers would lose what is behind the point.
        mean += sum((part.mean - parts[0].mean) * (part.count / count) for part in parts)
    squares = sum(part.squares + part.count * (part.mean - mean) ** 2 for part in parts)
    last = parts[0]
    for part in parts[1:]:
        last = part if part.last_at >= last.last_at else last
    is_whole = count <= most and all(len(part.values) == part.count for part in parts)
    return Figures(
        count,
        mean,
        squares,
        min(part.min for part in parts),
        max(part.max for part in parts),
        last.last,
        last.last_at,
        [value for part in parts for value in part.values] if is_whole else [],
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """A percentile of ordered values, between the two next ranks in proportion.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 50), percentile([1.0, 2.0, 3.0, 4.0], 100)
    (2.5, 4.0)
    """
    rank = (len(ordered) - 1) * percent / 100
    below = floor(rank)
    share = rank - below
    if not share:
        return ordered[below]
    return ordered[below] * (1 - share) + ordered[below + 1] * share


def percentiles(values: Iterable[float], percents: Sequence[float]) -> tuple[float, ...]:
    """Several percentiles of values in any order."""
    ordered = sorted(values)
    return tuple(percentile(ordered, percent) for percent in percents)
