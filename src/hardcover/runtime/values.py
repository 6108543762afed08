"""One column of an entity's events, with exact prefix sums, and the aggregates of it.

Totals are kept as whole numbers of a power of two, of any size, so that the difference of two prefix sums is exact and one division
rounds it correctly (Python's division of whole numbers is: https://docs.python.org/3/whatsnew/2.7.html, issue 1811).
"""

import math
from collections.abc import Callable
from itertools import accumulate
from typing import Any

SECOND = 1_000_000  # in microseconds


class Values:
    """One column's values in order, with their exact prefix sums as far as windows ask for them."""

    __slots__ = ("bits", "counts", "needs", "settled", "squares", "totals", "truths", "unit", "values")

    def __init__(self, needs: frozenset[str]):
        self.needs = needs
        self.values: list = []
        # Prefix sums, one longer than the values: of values in 2**-bits, of their squares in 2**(-2 * bits), of what is not 0,
        # and of what is not missing, None while nothing is.
        self.bits, self.unit = 0, 1
        self.totals, self.squares, self.truths = [0], [0], [0]
        self.counts: list[int] | None = None
        # How many values they are of.
        self.settled = 0

    def insert(self, place: int, value: float | str | None) -> None:
        """Put a value in; sums behind it are made again when they are asked for."""
        self.values.insert(place, value)
        self._forget(place)

    def fill(self, values: list) -> None:
        """Take all values at once, in order; None or NaN is missing."""
        there = [value is not None and value == value for value in values]
        self.values, self.settled = values, len(values)
        if not all(there):
            self.values = [value if mine else math.nan for value, mine in zip(values, there, strict=True)]
            self.counts = [0, *accumulate(there)]
        if "totals" in self.needs:
            ratios = [
                value.as_integer_ratio() if mine else (0, 1)
                for value, mine in zip(values, there, strict=True)
            ]
            self.unit = max((below for _, below in ratios), default=1)
            self.bits = self.unit.bit_length() - 1
            wholes = [above * (self.unit // below) for above, below in ratios]
            self.totals = [0, *accumulate(wholes)]
            if "squares" in self.needs:
                self.squares = [0, *accumulate(whole * whole for whole in wholes)]
        if "truths" in self.needs:
            self.truths = [
                0,
                *accumulate(mine and value != 0 for value, mine in zip(values, there, strict=True)),
            ]

    def replace(self, place: int, value: float | str | None) -> None:
        """Change a value, such as a label that is known now."""
        self.values[place] = value
        self._forget(place)

    def _forget(self, place: int) -> None:
        for kept in (self.totals, self.squares, self.truths, self.counts):
            if kept is not None and len(kept) > place + 1:
                del kept[place + 1 :]
        self.settled = min(self.settled, place)

    def settle(self) -> None:
        """Make the prefix sums of all values."""
        for place in range(self.settled, len(self.values)):
            self._sum_up(place, self.values[place])
        self.settled = len(self.values)

    def _sum_up(self, place: int, value: float | str | None) -> None:
        missing = value is None or value != value
        if missing and self.counts is None:
            self.counts = list(range(place + 1))
        if self.counts is not None:
            self.counts.append(self.counts[-1] + (not missing))
        if "totals" in self.needs:
            whole = 0 if missing else self.whole(value)
            self.totals.append(self.totals[-1] + whole)
            if "squares" in self.needs:
                self.squares.append(self.squares[-1] + whole * whole)
        if "truths" in self.needs:
            self.truths.append(self.truths[-1] + (not missing and value != 0))

    def drop(self, count: int) -> None:
        """Forget the first values."""
        for name in ("values", "totals", "squares", "truths", "counts"):
            kept = getattr(self, name)
            if kept:
                del kept[:count]
        self.settled -= count

    def whole(self, value: float) -> int:
        """Return a value as a whole number of 2**-bits; where it has finer ones, all sums are brought to these."""
        numerator, denominator = value.as_integer_ratio()
        bits = denominator.bit_length() - 1
        if bits > self.bits:
            more = bits - self.bits
            self.totals = [each << more for each in self.totals]
            self.squares = [each << 2 * more for each in self.squares]
            self.bits, self.unit = bits, 1 << bits
        return numerator << (self.bits - bits)


def _sums(column: Values, low: int, high: int, more: list) -> tuple[int, list[int]]:
    """Return the exact total of values, in the column's unit, and ``more`` in it."""
    if not more:
        return column.totals[high] - column.totals[low], more
    bits = column.bits
    wholes = [column.whole(value) for value in more]
    if column.bits != bits:
        # The finest sets the unit of all.
        wholes = [column.whole(value) for value in more]
    return column.totals[high] - column.totals[low] + sum(wholes), wholes


def _divided(numerator: int, denominator: int) -> float:
    try:
        return numerator / denominator
    except OverflowError:
        return math.inf if numerator > 0 else -math.inf


def _size(column: Values | None, low: int, high: int, more: list) -> int:
    counts = column.counts if column is not None else None
    return (high - low if counts is None else counts[high] - counts[low]) + len(more)


def _there(column: Values, low: int, high: int, more: list) -> list:
    """List the values that are not missing, in order."""
    found = column.values[low:high]
    if column.counts is not None:
        found = [value for value in found if value is not None and value == value]
    return found + more if more else found


def _count(column: Values | None, low: int, high: int, more: list) -> float:
    return float(_size(column, low, high, more))


def _total(column: Values, low: int, high: int, more: list) -> float:
    return _divided(_sums(column, low, high, more)[0], column.unit)


def _mean(column: Values, low: int, high: int, more: list) -> float:
    size = _size(column, low, high, more)
    return _divided(_sums(column, low, high, more)[0], size * column.unit) if size else math.nan


def _deviation(column: Values, low: int, high: int, more: list) -> float:
    size = _size(column, low, high, more)
    if size < 2:
        return math.nan
    total, wholes = _sums(column, low, high, more)
    squares = column.squares[high] - column.squares[low] + sum(each * each for each in wholes)
    spread = size * squares - total * total
    return math.sqrt(_divided(spread, size * (size - 1) * column.unit * column.unit))


def _minimum(column: Values, low: int, high: int, more: list) -> float:
    return min(_there(column, low, high, more), default=math.nan)


def _maximum(column: Values, low: int, high: int, more: list) -> float:
    return max(_there(column, low, high, more), default=math.nan)


def _distinct(column: Values, low: int, high: int, more: list) -> float:
    return float(len(set(_there(column, low, high, more))))


def _share(column: Values, low: int, high: int, more: list) -> float:
    size = _size(column, low, high, more)
    if not size:
        return math.nan
    return (column.truths[high] - column.truths[low] + sum(value != 0 for value in more)) / size


# What is found by the values alone; the others look at places.
OF_VALUES: dict[str, Callable[..., float]] = {
    "count": _count,
    "total": _total,
    "mean": _mean,
    "minimum": _minimum,
    "maximum": _maximum,
    "deviation": _deviation,
    "distinct": _distinct,
    "share": _share,
}
NEEDS = {"total": {"totals"}, "mean": {"totals"}, "deviation": {"totals", "squares"}, "share": {"truths"}}


def _last(
    _, window: Any, column: Values, time: int, low: int, until: int, others: list[int], own: tuple
) -> float:
    for place in (*reversed(others), *range(until - 1, low - 1, -1)):
        if column.values[place] == column.values[place]:
            return column.values[place]
    return math.nan


def _since(
    track: Any,
    window: Any,
    column: Values | None,
    time: int,
    low: int,
    until: int,
    others: list[int],
    own: tuple,
) -> float:
    for places in (reversed(others), range(until - 1, low - 1, -1)):
        for place in places:
            value = 1.0 if column is None else column.values[place]
            if value == value and value != 0:
                return (time - track.times[place]) / SECOND
    return math.nan


def _recent(
    _, window: Any, column: Values, time: int, low: int, until: int, others: list[int], own: tuple
) -> tuple:
    places = [*range(low, until), *others]
    found = [column.values[place] for place in places]
    if window.itself:
        found.append(own[window.column])
    return (*reversed(found), *(math.nan for _ in range(window.size - len(found))))


# What looks at places, so that the order of events counts.
PLACED: dict[str, Callable] = {"last": _last, "since": _since, "recent": _recent}
