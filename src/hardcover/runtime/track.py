"""The history of one entity: its events in order, and what windows say of them at any moment.

Totals are kept as whole numbers of a power of two, of any size, so that the difference of two prefix sums is exact and one division
rounds it correctly (Python divides whole numbers so: https://docs.python.org/3/library/stdtypes.html, Python 2.7's notes, issue 1811).
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from itertools import accumulate
from typing import NamedTuple

from .windows import MICROSECOND, Plan

# Later than any time: of a label that is not known yet.
NEVER = 2**63 - 1
SECOND = 1_000_000


class Event(NamedTuple):
    """What a history keeps of one event.

    Attributes
    ----------
    time, received, known
        Microseconds since 1970-01-01 UTC: when it happened, when it arrived, and when its labels were known, else ``NEVER``.
    key
        Its number; of two events with one key, the second is the first again.
    entities
        For each of ``Plan.entities`` the names, as one text; None where one is missing.
    values
        For each of ``Plan.columns`` a float or, of a text column, a text; missing is NaN or None.
    """

    time: int
    received: int
    known: int
    key: str
    entities: tuple[str | None, ...]
    values: tuple[float | str | None, ...]


class Values:
    """One column's values in order, with their exact prefix sums as far as windows ask for them."""

    __slots__ = ("bits", "counts", "needs", "squares", "totals", "truths", "unit", "values")

    def __init__(self, needs: frozenset[str]):
        self.needs = needs
        self.values: list = []
        # Prefix sums, one longer than the values: of values in 2**-bits, of their squares in 2**(-2 * bits), of what is not 0,
        # and of what is not missing, None while nothing is.
        self.bits, self.unit = 0, 1
        self.totals, self.squares, self.truths = [0], [0], [0]
        self.counts: list[int] | None = None

    def insert(self, place: int, value: float | str | None) -> None:
        """Put a value in; at the end in the time of one, elsewhere in that of all later ones."""
        if place < len(self.values):
            self.values.insert(place, value)
            self._count_again(place)
            return
        self.values.append(value)
        if value is None or value != value:
            if self.counts is None:
                self.counts = list(range(len(self.values)))
            self._repeat_last()
            return
        if self.counts is not None:
            self.counts.append(self.counts[-1] + 1)
        if "totals" in self.needs:
            whole = self.whole(value)
            self.totals.append(self.totals[-1] + whole)
            if "squares" in self.needs:
                self.squares.append(self.squares[-1] + whole * whole)
        if "truths" in self.needs:
            self.truths.append(self.truths[-1] + (value != 0))

    def fill(self, values: list) -> None:
        """Take all values at once, in order; None or NaN is missing."""
        there = [value is not None and value == value for value in values]
        self.values = values
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
        self._count_again(place)

    def drop(self, count: int) -> None:
        """Forget the first values."""
        for name in ("values", "totals", "squares", "truths", "counts"):
            kept = getattr(self, name)
            if kept:
                del kept[:count]

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

    def _repeat_last(self) -> None:
        if self.counts is not None:
            self.counts.append(self.counts[-1])
        for name in ("totals", "squares", "truths"):
            if name in self.needs:
                kept = getattr(self, name)
                kept.append(kept[-1])

    def _count_again(self, place: int) -> None:
        later = self.values[place:]
        del self.values[place:]
        for name in ("totals", "squares", "truths", "counts"):
            kept = getattr(self, name)
            if kept is not None and len(kept) > place + 1:
                del kept[place + 1 :]
        for value in later:
            self.insert(len(self.values), value)


def _sums(column: Values, low: int, high: int, more: list) -> tuple[int, list[int]]:
    """Return the exact total of values, in the column's unit, and ``more`` in it."""
    if not more:
        return column.totals[high] - column.totals[low], more
    for value in more:
        # The finest sets the unit of all.
        column.whole(value)
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


class Asked(NamedTuple):
    """One window as a track answers it: its place in the answer, its ``aggregate`` and column, how it is cut, and the row's own part."""

    slot: int
    aggregate: str
    function: Callable[..., float] | None
    column: int | None
    span: int | None
    rows: int | None
    itself: bool


class Layout(NamedTuple):
    """How the tracks of one kind of entity are kept and asked.

    Attributes
    ----------
    place
        Which of ``Plan.entities`` it is.
    columns
        Which of ``Plan.columns`` are kept, with the prefix sums that they need.
    asked
        The windows by what they wait for, ``(is it a label, delay in microseconds)``.
    """

    place: int
    columns: dict[int, frozenset[str]]
    asked: dict[tuple[bool, int], list[Asked]]


def layouts(plan: Plan) -> list[Layout]:
    """Return how the tracks of each of ``Plan.entities`` are kept."""
    found = []
    for place, by in enumerate(plan.entities):
        columns: dict[int, set[str]] = {}
        asked: dict[tuple[bool, int], list[Asked]] = {}
        for slot, window in enumerate(plan.windows.values()):
            if window.by != by:
                continue
            column = None if window.column is None else plan.columns.index(window.column)
            if column is not None:
                columns.setdefault(column, set()).update(NEEDS.get(window.aggregate, set()))
            waits = window.column in plan.labels, window.delay // MICROSECOND
            function = OF_VALUES.get(window.aggregate)
            each = Asked(slot, window.aggregate, function, column, window.span, window.rows, window.itself)
            asked.setdefault(waits, []).append(each)
        found.append(Layout(place, {column: frozenset(needs) for column, needs in columns.items()}, asked))
    return found


class Track:
    """One entity's events, by (time, received, key), and the values that windows look at.

    Parameters
    ----------
    layout
        How it is kept.
    """

    __slots__ = (
        "columns",
        "dropped",
        "keys",
        "known",
        "known_by",
        "layout",
        "received",
        "received_by",
        "times",
    )

    def __init__(self, layout: Layout):
        self.layout = layout
        self.times: list[int] = []
        self.keys: list[str] = []
        self.received: list[int] = []
        self.known: list[int] = []
        # The latest of ``received`` and of ``known`` up to each event: all before it are visible to whoever asks later.
        self.received_by: list[int] = []
        self.known_by: list[int] = []
        self.columns = {column: Values(needs) for column, needs in layout.columns.items()}
        # The time of the latest event that was dropped.
        self.dropped: int | None = None

    @classmethod
    def of(cls, layout: Layout, rows: list[tuple], dropped: int | None = None) -> "Track":
        """Return the track of events that are in order: ``time, received, known, key`` and the values of each."""
        track = cls(layout)
        track.dropped = dropped
        if rows:
            times, received, known, keys, *values = map(list, zip(*rows, strict=True))
            track.times, track.received, track.known, track.keys = times, received, known, keys
            track.received_by, track.known_by = list(accumulate(received, max)), list(accumulate(known, max))
            for number, column in track.columns.items():
                column.fill(values[number])
        return track

    def __len__(self) -> int:
        return len(self.times)

    def insert(self, event: Event) -> None:
        """Add an event at its place."""
        place = len(self.times)
        if place and event[:2] <= (self.times[-1], self.received[-1]):
            place = self._place(event)
        self.times.insert(place, event.time)
        self.keys.insert(place, event.key)
        self.received.insert(place, event.received)
        self.known.insert(place, event.known)
        _raise(self.received_by, self.received, place)
        _raise(self.known_by, self.known, place)
        for number, column in self.columns.items():
            column.insert(place, event.values[number])

    def learn(self, event: Event) -> None:
        """Put in what is known now of an event that is there."""
        place = self._place(event)
        self.known[place] = event.known
        _raise(self.known_by, self.known, place)
        for number, column in self.columns.items():
            if column.values[place] is not event.values[number]:
                column.replace(place, event.values[number])

    def _place(self, event: Event) -> int:
        """Find where an event is, or would be."""
        first = bisect_left(self.times, event.time)
        after = bisect_right(self.times, event.time, first)
        mine = (event.received, event.key)
        while first < after and (self.received[first], self.keys[first]) < mine:
            first += 1
        return first

    def drop_before(self, time: int) -> int:
        """Forget the events before a time; returns how many those were."""
        count = bisect_left(self.times, time)
        if count:
            self.dropped = self.times[count - 1]
            for kept in (self.times, self.keys, self.received, self.known, self.received_by, self.known_by):
                del kept[:count]
            for column in self.columns.values():
                column.drop(count)
        return count

    def answer(self, found: list, time: int, asked: int, own: tuple) -> None:
        """Write what the windows hold into ``found``, at their slots.

        Parameters
        ----------
        found
            One place for each window.
        time, asked
            When the row happened, and when it was received, in microseconds.
        own
            The row's own values, as ``Event.values``.

        Raises
        ------
        ValueError
            When a window begins before events that were dropped.
        """
        for (is_label, delay), windows in self.layout.asked.items():
            until = bisect_right(self.times, time - delay)
            visible, latest = (self.known, self.known_by) if is_label else (self.received, self.received_by)
            others: list[int] = []
            if until and latest[until - 1] >= asked:
                sure = bisect_left(latest, asked, 0, until)
                others = [place for place in range(sure, until) if visible[place] < asked]
                until = sure
            for window in windows:
                found[window.slot] = self._one(window, time - delay, time, until, others, own)

    def _one(self, window: Asked, end: int, time: int, until: int, others: list[int], own: tuple):
        low = 0
        if window.span is not None:
            start = end - window.span
            if self.dropped is not None and start < self.dropped:
                self._refuse(start)
            low = bisect_right(self.times, start, 0, until)
            if others and self.times[others[0]] <= start:
                others = [place for place in others if self.times[place] > start]
        elif window.rows is not None:
            wanted = window.rows - window.itself
            low = max(0, until - max(0, wanted - len(others)))
            others = others[max(0, len(others) - wanted) :] if wanted else []
            if self.dropped is not None and until - low + len(others) < wanted:
                self._refuse(end)
        elif self.dropped is not None:
            self._refuse(end)
        column = None if window.column is None else self.columns[window.column]
        if window.function is None:
            return _PLACED[window.aggregate](self, window, column, time, low, until, others, own)
        if not others and not window.itself:
            return window.function(column, low, until, ())
        if column is None:
            return float(until - low + len(others) + window.itself)
        more = [column.values[place] for place in others]
        if window.itself:
            more.append(own[window.column])
        return window.function(
            column, low, until, [value for value in more if value is not None and value == value]
        )

    def _refuse(self, start: int) -> None:
        raise ValueError(
            f"a window begins at {start} µs, but events up to {self.dropped} µs were dropped; keep histories for longer"
        )


def _raise(latest: list[int], visible: list[int], place: int) -> None:
    """Bring the running maximum up to date from a place on."""
    del latest[place:]
    highest = latest[-1] if latest else -NEVER
    for each in visible[place:]:
        highest = max(highest, each)
        latest.append(highest)


def _last(
    _, window: Asked, column: Values, time: int, low: int, until: int, others: list[int], own: tuple
) -> float:
    for place in (*reversed(others), *range(until - 1, low - 1, -1)):
        if column.values[place] == column.values[place]:
            return column.values[place]
    return math.nan


def _since(
    track: Track,
    window: Asked,
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
    _, window: Asked, column: Values, time: int, low: int, until: int, others: list[int], own: tuple
) -> tuple:
    places = [*range(low, until), *others]
    found = [column.values[place] for place in places]
    if window.itself:
        found.append(own[window.column])
    size = window.rows or 0
    return (*reversed(found), *(math.nan for _ in range(size - len(found))))


_PLACED: dict[str, Callable] = {"last": _last, "since": _since, "recent": _recent}
