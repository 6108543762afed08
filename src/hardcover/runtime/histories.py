"""What entities did, kept where a service runs: in memory, with snapshots on disk.

Events may come in any order and more than once. What a row is answered depends only on the events that it could see, so observing its
own event before or after asking, or others late, changes nothing.
"""

import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from . import snapshot
from .events import NEVER, Event, fingerprint, label_places, same
from .snapshot import Snapshot
from .track import Track
from .track_layout import layouts
from .window_plan import Plan
from .windows import MICROSECOND


class ConflictingEvent(ValueError):
    """A second event with the key of one that is kept, and other content."""


class Histories:
    """Histories of entities in memory; the other stores keep the same elsewhere.

    Safe to call from many threads.

    Parameters
    ----------
    plan
        What is kept of events.
    keep
        For how long, counted back from the newest event of an entity; None: twice the longest window with its delay, or for ever
        where a window is all the past or goes by rows.

    Attributes
    ----------
    counts
        Events that were ``observed``, ``repeated``, ``late`` (older than what is kept, so not kept), and labels ``learned``.
    """

    def __init__(self, plan: Plan, keep: timedelta | None = None):
        self.plan, self.layouts = plan, layouts(plan)
        self.keep = keep // MICROSECOND if keep is not None else kept_by_default(plan)
        self.counts = dict.fromkeys(("observed", "repeated", "late", "learned"), 0)
        self._tracks: list[dict[str, Track]] = [{} for _ in self.layouts]
        self._events: dict[str, Event] = {}
        # What a snapshot had and was not asked for yet: an entity's events are decoded when it is.
        self._held = Snapshot(len(self.layouts))
        self._lock = threading.RLock()

    def __len__(self) -> int:
        with self._lock:
            return len(self._events) + len(self._held)

    def observe(self, event: Event) -> bool:
        """Keep an event; returns whether it is new, or what is known of it is.

        Raises
        ------
        ConflictingEvent
            When another event with its key is kept.
        """
        with self._lock:
            return self._observe(event)

    def _observe(self, event: Event) -> bool:
        there = self.event(event.key)
        if there is not None:
            return self._again(there, event)
        tracks = self._of(event)
        if any(
            track is not None and track.dropped is not None and event.time <= track.dropped
            for track in tracks
        ):
            self.counts["late"] += 1
            return False
        self._events[event.key] = event
        self.counts["observed"] += 1
        for layout, entity, track in zip(self.layouts, event.entities, tracks, strict=True):
            if entity is None:
                continue
            if track is None:
                track = self._new_track(layout.place, entity)
            track.insert(event)
            if self.keep is not None and track.times[-1] - track.times[0] > 2 * self.keep:
                self._drop(track, track.times[-1] - self.keep)
        return True

    def _again(self, there: Event, event: Event) -> bool:
        if not same(there, event, label_places(self.plan)):
            raise ConflictingEvent(
                f"event {event.key!r} is kept with other content; an event never changes, give it another key"
            )
        if event.known == NEVER or there.known != NEVER:
            self.counts["repeated"] += 1
            return False
        for track in self._of(event):
            if track is not None:
                track.learn(event)
        # One of no entity was not taken with any.
        self._held.forget(event.key)
        self._events[event.key] = event
        self.counts["learned"] += 1
        return True

    def event(self, key: str) -> Event | None:
        """Return the event with a key, if it is kept."""
        with self._lock:
            return self._events.get(key) or self._held.event(key)

    def _track(self, place: int, entity: str | None) -> Track | None:
        """Return an entity's track; taken from the snapshot, if it is still there."""
        if entity is None or entity not in self._held.entities[place]:
            return self._tracks[place].get(entity)  # type: ignore[arg-type]
        found, new = self._held.take(place, entity)
        self._events.update((event.key, event) for event in new)
        track = self._new_track(place, entity)
        track.dropped = self._held.dropped[place].get(entity)
        for event in found:
            # One that came with another entity may have learned since, or be dropped.
            now = self._events.get(event.key)
            if now is not None:
                track.insert(now)
        return track

    def _new_track(self, place: int, entity: str) -> Track:
        track = self._tracks[place][entity] = Track(self.layouts[place])
        return track

    def _drop(self, track: Track, before: int) -> None:
        gone = track.keys[: len(track.keys)]
        count = track.drop_before(before)
        for key in gone[:count]:
            # An event is kept as long as one of its entities keeps it.
            event = self._events.get(key)
            if event is not None and not any(
                other is not None and len(other) and other.times[0] <= event.time for other in self._of(event)
            ):
                del self._events[key]

    def _of(self, event: Event) -> list[Track | None]:
        return [
            self._track(layout.place, entity)
            for layout, entity in zip(self.layouts, event.entities, strict=True)
        ]

    def answer(
        self, time: int, asked: int, entities: tuple[str | None, ...], own: tuple, known: dict | None = None
    ) -> list:
        """Return what each window of the plan holds for a row, in order; see ``Track.answer``.

        ``known``, empty at first, is for rows that ask at one moment: what windows hold for an entity that they share is found once.
        """
        found: list = [None] * len(self.plan.windows)
        with self._lock:
            for layout, entity in zip(self.layouts, entities, strict=True):
                which = entity, time, asked
                if known is not None and layout.recall(known, which, found):
                    continue
                track = self._track(layout.place, entity)
                if track is None:
                    track = Track(layout)
                track.answer(found, time, asked, own)
                if known is not None:
                    layout.keep(known, which, found)
        return found

    def events(self) -> Iterator[Event]:
        """Yield all events that are kept: those of a snapshot that were not asked for, then the others as they came."""
        with self._lock:
            return iter([*self._held.events(), *self._events.values()])

    def merge(self, other: "Histories") -> None:
        """Observe all events of others, such as another worker's.

        Raises
        ------
        ConflictingEvent
            When both keep an event with one key and other content; those before it are merged.
        """
        for event in other.events():
            self.observe(event)

    def sizes(self) -> dict[str, float]:
        """Return how many ``entities`` and ``events`` are kept, and about how many ``bytes``, in all and for each entity."""
        with self._lock:
            for place, entities in enumerate(self._held.entities):
                for entity in list(entities):
                    self._track(place, entity)
            self._events.update((event.key, event) for event in self._held.events())
            self._held = Snapshot(len(self.layouts))
        tracks = [track for each in self._tracks for track in each.values()]
        size = sum(map(_bytes_of, tracks)) + sum(map(_bytes_of_event, self._events.values()))
        facts = {"entities": len(tracks), "events": len(self._events), "bytes": size}
        return facts | {"bytes_per_entity": round(size / max(1, len(tracks)))}

    def save(self, path: Path | str) -> None:
        """Write a snapshot; it is there whole or not at all, whatever happens.

        Raises
        ------
        OSError
            When it cannot be written; a snapshot that was there stays.
        """
        with self._lock:
            held = self._held
            dropped = [
                {name: time for name, time in held.dropped[place].items() if name in held.entities[place]}
                | {name: track.dropped for name, track in tracks.items() if track.dropped is not None}
                for place, tracks in enumerate(self._tracks)
            ]
            snapshot.write(Path(path), self.events(), dropped, fingerprint(self.plan))

    def restore(self, path: Path | str) -> None:
        """Take the events of a snapshot; where there are none yet, each entity's are decoded when somebody asks for it.

        Raises
        ------
        DamagedHistories
            When it was cut off or changed, or is of other windows, such as those of another release.
        """
        found = snapshot.read(Path(path), fingerprint(self.plan))
        with self._lock:
            if not len(self) and not any(self._tracks):
                self._held = found
                return
            for event in found.events():
                self._observe(event)
            for place, dropped in enumerate(found.dropped):
                for entity, time in dropped.items():
                    track = self._track(place, entity)
                    if track is None:
                        track = self._new_track(place, entity)
                    track.dropped = max(time, track.dropped if track.dropped is not None else time)


def kept_by_default(plan: Plan) -> int | None:
    """Return for how many microseconds events are kept unless told; None: for ever."""
    spans = []
    for window in plan.windows.values():
        if window.span is None:
            return None
        spans.append(window.span + window.delay // MICROSECOND)
    return 2 * max(spans, default=0)


def _bytes_of(track: Track) -> int:
    kept = [track.times, track.keys, track.received, track.known, track.received_by, track.known_by]
    size = sys.getsizeof(track) + sum(sys.getsizeof(each) + 32 * len(each) for each in kept)
    for column in track.columns.values():
        for each in (column.values, column.totals, column.squares, column.truths, column.counts or []):
            size += sys.getsizeof(each) + (sum(map(sys.getsizeof, each[-1:])) * len(each))
    return size


def _bytes_of_event(event: Event) -> int:
    return (
        sys.getsizeof(event) + sys.getsizeof(event.values) + sys.getsizeof(event.key) + 24 * len(event.values)
    )
