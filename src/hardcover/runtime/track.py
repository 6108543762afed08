"""The history of one entity: its events in order, and what windows say of them at any moment."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from itertools import accumulate
from typing import NamedTuple

from .events import NEVER, Event
from .track_code import written
from .values import NEEDS, OF_VALUES, Values
from .window_plan import Plan
from .windows import MICROSECOND

SECOND = 1_000_000


class Asked(NamedTuple):
    """One window as a track answers it: its place in the answer, its ``aggregate`` and column, how many values it returns, and whether
    the row is in it."""

    slot: int
    aggregate: str
    function: Callable[..., float] | None
    column: int | None
    size: int
    itself: bool


class Cut(NamedTuple):
    """Windows that begin at one place: ``span`` microseconds before their end, or ``rows`` rows; both None: at the beginning."""

    span: int | None
    rows: int | None
    windows: list[Asked]


class Layout(NamedTuple):
    """How the tracks of one kind of entity are kept and asked.

    Attributes
    ----------
    place
        Which of ``Plan.entities`` it is.
    columns
        Which of ``Plan.columns`` are kept, with the prefix sums that they need.
    asked
        The windows by what they wait for, ``(is it a label, delay in microseconds)``, and by where they begin.
    quick
        All of them where what is visible is a stretch, as ``track_code.written`` writes it.
    """

    place: int
    columns: dict[int, frozenset[str]]
    asked: list[tuple[bool, int, list[Cut]]]
    quick: Callable[..., bool]


def _never(*_: object) -> bool:
    return False


def layouts(plan: Plan) -> list[Layout]:
    """Return how the tracks of each of ``Plan.entities`` are kept."""
    found = []
    for place, by in enumerate(plan.entities):
        columns: dict[int, set[str]] = {}
        asked: dict[tuple[bool, int], dict[tuple, list[Asked]]] = {}
        for slot, window in enumerate(plan.windows.values()):
            if window.by != by:
                continue
            column = None if window.column is None else plan.columns.index(window.column)
            if column is not None:
                columns.setdefault(column, set()).update(NEEDS.get(window.aggregate, set()))
            waits = window.column in plan.labels, window.delay // MICROSECOND
            function, size = OF_VALUES.get(window.aggregate), window.rows or 0
            each = Asked(slot, window.aggregate, function, column, size, window.itself)
            cut = window.span, None if window.rows is None else window.rows - window.itself
            asked.setdefault(waits, {}).setdefault(cut, []).append(each)
        cuts = [
            (*waits, [Cut(*cut, windows) for cut, windows in mine.items()]) for waits, mine in asked.items()
        ]
        kept = {column: frozenset(needs) for column, needs in columns.items()}
        layout = Layout(place, kept, cuts, _never)
        found.append(layout._replace(quick=written(layout)))
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
        time, received, known, key, _, values = event
        times = self.times
        if not times or time > times[-1] or (time == times[-1] and received > self.received[-1]):
            times.append(time)
            self.keys.append(key)
            self.received.append(received)
            self.known.append(known)
            for number, column in self.columns.items():
                column.values.append(values[number])
            return
        place = self._place(event)
        self.times.insert(place, event.time)
        self.keys.insert(place, event.key)
        self.received.insert(place, event.received)
        self.known.insert(place, event.known)
        del self.received_by[place:], self.known_by[place:]
        for number, column in self.columns.items():
            column.insert(place, event.values[number])

    def put(self, event: Event) -> None:
        """Add an event, or what is known of it now if it is there."""
        place = self._place(event)
        if place < len(self.times) and (self.times[place], self.received[place], self.keys[place]) == (
            event.time, event.received, event.key,
        ):  # fmt: skip
            self.learn(event)
        else:
            self.insert(event)

    def learn(self, event: Event) -> None:
        """Put in what is known now of an event that is there."""
        place = self._place(event)
        self.known[place] = event.known
        del self.known_by[place:]
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

    def _settle(self) -> None:
        _raise(self.received_by, self.received)
        _raise(self.known_by, self.known)
        for column in self.columns.values():
            column.settle()

    def drop_before(self, time: int) -> int:
        """Forget the events before a time; returns how many those were."""
        count = bisect_left(self.times, time)
        if count:
            self._settle()
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
        if len(self.received_by) < len(self.times) or len(self.known_by) < len(self.times):
            self._settle()
        try:
            if self.dropped is None and self.layout.quick(self, found, time, asked, own):
                return
        except OverflowError:
            # A total beyond the largest float.
            pass
        for is_label, delay, cuts in self.layout.asked:
            end = time - delay
            until = bisect_right(self.times, end)
            visible, latest = (self.known, self.known_by) if is_label else (self.received, self.received_by)
            others: list[int] = []
            if until and latest[until - 1] >= asked:
                sure = bisect_left(latest, asked, 0, until)
                others = [place for place in range(sure, until) if visible[place] < asked]
                until = sure
            for cut in cuts:
                low, more = self._cut(cut, end, until, others)
                for window in cut.windows:
                    column = None if window.column is None else self.columns[window.column]
                    if window.function is None:
                        placed = PLACED[window.aggregate]
                        found[window.slot] = placed(self, window, column, time, low, until, more, own)
                    elif column is None:
                        found[window.slot] = float(until - low + len(more) + window.itself)
                    elif more or window.itself:
                        there = [column.values[place] for place in more]
                        if window.itself:
                            there.append(own[window.column])
                        there = [value for value in there if value is not None and value == value]
                        found[window.slot] = window.function(column, low, until, there)
                    else:
                        found[window.slot] = window.function(column, low, until, ())

    def _cut(self, cut: Cut, end: int, until: int, others: list[int]) -> tuple[int, list[int]]:
        """Return where windows begin, and which of the others are in them."""
        if cut.span is not None:
            start = end - cut.span
            if self.dropped is not None and start < self.dropped:
                self._refuse(start)
            if others and self.times[others[0]] <= start:
                others = [place for place in others if self.times[place] > start]
            return bisect_right(self.times, start, 0, until), others
        if cut.rows is None:
            if self.dropped is not None:
                self._refuse(end)
            return 0, others
        low = max(0, until - max(0, cut.rows - len(others)))
        others = others[max(0, len(others) - cut.rows) :] if cut.rows else []
        if self.dropped is not None and until - low + len(others) < cut.rows:
            self._refuse(end)
        return low, others

    def _refuse(self, start: int) -> None:
        raise ValueError(
            f"a window begins at {start} µs, but events up to {self.dropped} µs were dropped; keep histories for longer"
        )


def _raise(latest: list[int], visible: list[int]) -> None:
    """Bring a running maximum up to date with the events that were put in."""
    highest = latest[-1] if latest else -NEVER
    for each in visible[len(latest) :]:
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
    return (*reversed(found), *(math.nan for _ in range(window.size - len(found))))


PLACED: dict[str, Callable] = {"last": _last, "since": _since, "recent": _recent}
