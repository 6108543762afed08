"""Histories that are kept outside of the process: what stores have in common."""

from abc import ABC, abstractmethod
from datetime import timedelta
from typing import Any

from .events import NEVER, Event, label_places, same
from .histories import ConflictingEvent, kept_by_default
from .track import Layout, Track, layouts
from .window_plan import Plan
from .windows import MICROSECOND


class HistoriesUnavailable(RuntimeError):
    """The store of histories cannot be reached, read or written; the event that was given was not kept."""


class TooLate(Exception):
    """An event that is older than what is kept of its entities."""


class StoredHistories(ABC):
    """Histories in a store that several processes share; each answer reads what the store holds at that moment.

    Parameters
    ----------
    plan
        What is kept of events.
    keep
        For how long, as ``Histories`` takes it.
    """

    def __init__(self, plan: Plan, keep: timedelta | None = None):
        self.plan, self.layouts = plan, layouts(plan)
        self.keep = keep // MICROSECOND if keep is not None else kept_by_default(plan)
        self.counts = dict.fromkeys(("observed", "repeated", "late", "learned"), 0)
        spans = [window.span for window in plan.windows.values()]
        longest = max(
            (window.delay // MICROSECOND + (window.span or 0) for window in plan.windows.values()), default=0
        )
        # How far back an answer looks; None: to the beginning.
        self._reach = None if None in spans else longest

    def observe(self, event: Event) -> bool:
        """Keep an event; returns whether it is new, or what is known of it is.

        Raises
        ------
        ConflictingEvent
            When another event with its key is kept.
        HistoriesUnavailable
            When the store cannot keep it.
        """
        while True:
            try:
                there = self._add(event)
            except TooLate:
                self.counts["late"] += 1
                return False
            if there is None:
                self.counts["observed"] += 1
                return True
            if not same(there, event, label_places(self.plan)):
                raise ConflictingEvent(
                    f"event {event.key!r} is kept with other content; an event never changes, give it another key"
                )
            if event.known == NEVER or there.known != NEVER:
                self.counts["repeated"] += 1
                return False
            if self._change(there, event):
                self.counts["learned"] += 1
                return True

    def answer(self, time: int, asked: int, entities: tuple[str | None, ...], own: tuple) -> list:
        """Return what each window of the plan holds for a row, in order; see ``Track.answer``.

        Raises
        ------
        HistoriesUnavailable
            When the store cannot be read.
        """
        found: list[Any] = [None] * len(self.plan.windows)
        start = None if self._reach is None else time - self._reach
        wanted = [
            (layout, entity)
            for layout, entity in zip(self.layouts, entities, strict=True)
            if entity is not None
        ]
        tracks = dict(
            zip((layout.place for layout, _ in wanted), self._tracks(wanted, start, time), strict=True)
        )
        for layout in self.layouts:
            tracks.get(layout.place, Track(layout)).answer(found, time, asked, own)
        return found

    @abstractmethod
    def event(self, key: str) -> Event | None:
        """Return the event with a key, if it is kept."""

    @abstractmethod
    def _add(self, event: Event) -> Event | None:
        """Keep an event, whole or not at all; returns the one that is kept with its key, if any. Raises ``TooLate``."""

    @abstractmethod
    def _change(self, there: Event, event: Event) -> bool:
        """Put an event in another's place; returns False when it is not there any more."""

    @abstractmethod
    def _tracks(self, wanted: list[tuple[Layout, str]], start: int | None, end: int) -> list[Track]:
        """Return the tracks of entities, with the events after ``start`` up to and with ``end``."""
