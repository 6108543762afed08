"""What entities did, kept where a service runs: in memory, with snapshots on disk.

Events may come in any order and more than once. What a row is answered depends only on the events that it could see, so observing its
own event before or after asking, or others late, changes nothing.
"""

import json
import os
import struct
import sys
import tempfile
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from .events import NEVER, Event, fingerprint, label_places, packed, same, unpacked
from .track import Track
from .track_layout import layouts
from .window_plan import Plan
from .windows import MICROSECOND

FORMAT = b"hardcover.histories/1\n"


class ConflictingEvent(ValueError):
    """A second event with the key of one that is kept, and other content."""


class DamagedHistories(ValueError):
    """A snapshot that was cut off, was changed, or is of other windows."""


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
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._events)

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
        there = self._events.get(event.key)
        if there is not None:
            return self._again(there, event)
        tracks = [
            self._tracks[layout.place].get(entity) if entity is not None else None
            for layout, entity in zip(self.layouts, event.entities, strict=True)
        ]
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
                track = self._tracks[layout.place][entity] = Track(layout)
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
        self._events[event.key] = event
        self.counts["learned"] += 1
        for layout, entity in zip(self.layouts, event.entities, strict=True):
            if entity is not None:
                self._tracks[layout.place][entity].learn(event)
        return True

    def event(self, key: str) -> Event | None:
        """Return the event with a key, if it is kept."""
        return self._events.get(key)

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
            self._tracks[layout.place].get(entity) if entity is not None else None
            for layout, entity in zip(self.layouts, event.entities, strict=True)
        ]

    def answer(self, time: int, asked: int, entities: tuple[str | None, ...], own: tuple) -> list:
        """Return what each window of the plan holds for a row, in order; see ``Track.answer``."""
        found: list = [None] * len(self.plan.windows)
        with self._lock:
            for layout, tracks, entity in zip(self.layouts, self._tracks, entities, strict=True):
                track = tracks.get(entity)  # type: ignore[arg-type]
                if track is None:
                    track = Track(layout)
                track.answer(found, time, asked, own)
        return found

    def events(self) -> Iterator[Event]:
        """Yield all events that are kept, in the order in which they were observed."""
        return iter(list(self._events.values()))

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
        path = Path(path)
        with self._lock:
            body = "\n".join(
                json.dumps(packed(event), separators=(",", ":")) for event in self._events.values()
            )
            dropped = [
                {e: t.dropped for e, t in each.items() if t.dropped is not None} for each in self._tracks
            ]
        head = json.dumps({"plan": fingerprint(self.plan), "dropped": dropped, "events": len(self._events)})
        content = f"{head}\n{body}".encode()
        import zlib

        written = FORMAT + struct.pack("<QI", len(content), zlib.crc32(content)) + content
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(written)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def restore(self, path: Path | str) -> None:
        """Observe the events of a snapshot.

        Raises
        ------
        DamagedHistories
            When it was cut off or changed, or is of other windows, such as those of another release.
        """
        import zlib

        content, start = Path(path).read_bytes(), len(FORMAT) + 12
        if not content.startswith(FORMAT) or len(content) < start:
            raise DamagedHistories(f"{path} is no snapshot of histories, or was cut off")
        size, check = struct.unpack("<QI", content[len(FORMAT) : start])
        body = content[start:]
        if len(body) != size or zlib.crc32(body) != check:
            raise DamagedHistories(f"{path} was cut off or changed: {len(body)} of {size} bytes")
        head, _, rest = body.partition(b"\n")
        facts = json.loads(head)
        if facts["plan"] != fingerprint(self.plan):
            raise DamagedHistories(
                f"{path} is of other windows; replay the events into histories of this release"
            )
        with self._lock:
            for line in rest.splitlines():
                self._observe(unpacked(json.loads(line)))
            for layout, dropped in zip(self.layouts, facts["dropped"], strict=True):
                for entity, time in dropped.items():
                    track = self._tracks[layout.place].setdefault(entity, Track(layout))
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
