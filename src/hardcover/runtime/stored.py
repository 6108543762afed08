"""Histories that are kept outside of the process: what stores have in common."""

from abc import ABC, abstractmethod
from collections import OrderedDict
from datetime import timedelta
from typing import Any

from .events import NEVER, Event, label_places, same
from .histories import ConflictingEvent, kept_by_default
from .track import Track
from .track_layout import Layout, layouts
from .window_plan import Plan
from .windows import MICROSECOND

# Tracks that each reader keeps.
MOST = 10_000


class HistoriesUnavailable(RuntimeError):
    """The store of histories cannot be reached, read or written; the event that was given was not kept."""


class TooLate(Exception):
    """An event that is older than what is kept of its entities."""


class StoredHistories(ABC):
    """Histories in a store that several processes share; each answer has what the store holds at that moment.

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

    def answer(
        self, time: int, asked: int, entities: tuple[str | None, ...], own: tuple, known: dict | None = None
    ) -> list:
        """Return what each window of the plan holds for a row, in order; see ``Histories.answer``.

        Raises
        ------
        HistoriesUnavailable
            When the store cannot be read.
        """
        found: list[Any] = [None] * len(self.plan.windows)
        pairs = [
            (layout, entity)
            for layout, entity in zip(self.layouts, entities, strict=True)
            if known is None or not layout.recall(known, (entity, time, asked), found)
        ]
        wanted = [(layout, entity) for layout, entity in pairs if entity is not None]
        tracks = self._tracks(wanted) if wanted else {}
        for layout, entity in pairs:
            track = Track(layout) if entity is None else tracks[layout.place, entity]
            track.answer(found, time, asked, own)
            if known is not None:
                layout.keep(known, (entity, time, asked), found)
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
    def _tracks(self, wanted: list[tuple[Layout, str]]) -> dict[tuple[int, str], Track]:
        """Return the tracks of entities, as the store has them now, by ``(place, entity)``."""


class Cache:
    """Tracks that were read lately, brought up to date by the events that came since.

    Safe to give an event that is there already.
    """

    def __init__(self, layouts: list[Layout], most: int = MOST):
        self._layouts, self._most = layouts, most
        self.tracks: OrderedDict[tuple[int, str], Track] = OrderedDict()

    def take(self, event: Event) -> None:
        """Put a new event, or a new label, into those of its entities' tracks that are here."""
        for layout, entity in zip(self._layouts, event.entities, strict=True):
            track = self.tracks.get((layout.place, entity)) if entity is not None else None
            if track is not None:
                track.put(event)

    def keep(self, found: dict[tuple[int, str], Track], wanted: list[tuple[Layout, str]]) -> None:
        """Keep tracks that were read, and let go of those that were ``wanted`` longest ago."""
        for layout, entity in wanted:
            if (layout.place, entity) in self.tracks:
                self.tracks.move_to_end((layout.place, entity))
        for which, track in found.items():
            self.tracks[which] = track
            self.tracks.move_to_end(which)
        while len(self.tracks) > self._most:
            self.tracks.popitem(last=False)
