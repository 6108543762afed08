"""The history of one entity: its events in order, and what windows say of them at any moment."""

from bisect import bisect_left, bisect_right
from itertools import accumulate

from .events import NEVER, Event
from .track_layout import Cut, Layout
from .values import PLACED, Values


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
        # The latest of ``received`` and of ``known`` up to each event: all before it are visible to a row that is asked later.
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
