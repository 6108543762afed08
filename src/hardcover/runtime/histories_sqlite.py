"""Histories in a file of SQLite, for the processes of one machine."""

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from .events import Event, fingerprint, packed, unpacked
from .snapshot import DamagedHistories
from .stored import Cache, HistoriesUnavailable, StoredHistories, TooLate
from .track import Track
from .track_layout import Layout
from .window_plan import Plan

WAIT = 30.0  # seconds for another writer


class SqliteHistories(StoredHistories):
    """Histories that survive the process, and that several processes share.

    What ``observe`` has kept is there after any process was killed. After a loss of power, the last events may be missing unless
    ``durable`` (https://www.sqlite.org/pragma.html#pragma_synchronous).

    Parameters
    ----------
    plan, keep
        As ``Histories`` takes them.
    path
        The file; made at first use.
    durable
        Whether each event is on the disk before ``observe`` returns.

    Raises
    ------
    DamagedHistories
        When the file is of other windows, or no database.
    HistoriesUnavailable
        When it cannot be opened.
    """

    def __init__(self, plan: Plan, path: Path | str, keep: timedelta | None = None, durable: bool = False):
        super().__init__(plan, keep)
        self.path, self._durable, self._own = str(path), durable, threading.local()
        names = ", ".join(f"v{number}" for number in range(len(plan.columns)))
        self._names = f"time, received, known, key{', ' if names else ''}{names}"
        with self._using() as database:
            self._prepare(database)

    def _prepare(self, database: sqlite3.Connection) -> None:
        values = "".join(f", v{number}" for number in range(len(self.plan.columns)))
        database.execute("BEGIN IMMEDIATE")
        database.execute("CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT)")
        database.execute("INSERT OR IGNORE INTO facts VALUES ('plan', ?)", [fingerprint(self.plan)])
        (found,) = database.execute("SELECT value FROM facts WHERE name = 'plan'").fetchone()
        if found != fingerprint(self.plan):
            database.execute("ROLLBACK")
            raise DamagedHistories(
                f"{self.path} is of other windows; replay the events into a file of this release"
            )
        database.execute(
            "CREATE TABLE IF NOT EXISTS events (number INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE, event TEXT)"
        )
        # The events of an entity lie together and in order.
        database.execute(
            f"CREATE TABLE IF NOT EXISTS places (place INTEGER, entity TEXT, time INTEGER, received INTEGER, known INTEGER, key TEXT{values}, "
            "PRIMARY KEY (place, entity, time, received, key)) WITHOUT ROWID"
        )
        database.execute(
            "CREATE TABLE IF NOT EXISTS dropped (place INTEGER, entity TEXT, time INTEGER, PRIMARY KEY (place, entity))"
        )
        database.execute("COMMIT")

    @contextmanager
    def _using(self) -> Iterator[sqlite3.Connection]:
        """Use this thread's connection; what fails in the store is one kind of error."""
        try:
            if not hasattr(self._own, "database"):
                self._own.database = sqlite3.connect(self.path, timeout=WAIT, isolation_level=None)
                self._own.cache, self._own.seen = Cache(self.layouts), 0
                # Of the file, as another connection last changed it; and whether this one did since it looked.
                self._own.version, self._own.wrote = -1, False
                self._own.database.execute("PRAGMA journal_mode = WAL")
                self._own.database.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'NORMAL'}")
            yield self._own.database
        except sqlite3.Error as error:
            database = getattr(self._own, "database", None)
            if database is not None and database.in_transaction:
                database.execute("ROLLBACK")
            if isinstance(error, sqlite3.DatabaseError) and "not a database" in str(error):
                raise DamagedHistories(f"{self.path} is no database of histories") from error
            raise HistoriesUnavailable(
                f"histories in {self.path}: {error}; the event was not kept"
            ) from error

    def close(self) -> None:
        """Close this thread's connection."""
        if hasattr(self._own, "database"):
            self._own.database.close()
            del self._own.database

    def event(self, key: str) -> Event | None:
        """Return the event with a key, if it is kept."""
        with self._using() as database:
            return self._event(database, key)

    def _event(self, database: sqlite3.Connection, key: str) -> Event | None:
        found = database.execute("SELECT event FROM events WHERE key = ?", [key]).fetchone()
        return _read(found[0]) if found else None

    def _add(self, event: Event) -> Event | None:
        with self._using() as database:
            database.execute("BEGIN IMMEDIATE")
            there = self._event(database, event.key)
            if there is None and self._is_late(database, event):
                database.execute("ROLLBACK")
                raise TooLate
            number = 0
            if there is None:
                made = database.execute(
                    "INSERT INTO events (key, event) VALUES (?, ?)", [event.key, _written(event)]
                )
                number = made.lastrowid or 0
                self._put(database, event)
            database.execute("COMMIT")
            if there is None:
                self._wrote(event, number)
        return there

    def _is_late(self, database: sqlite3.Connection, event: Event) -> bool:
        which = "SELECT 1 FROM dropped WHERE place = ? AND entity = ? AND time >= ?"
        return any(
            database.execute(which, [layout.place, entity, event.time]).fetchone()
            for layout, entity in zip(self.layouts, event.entities, strict=True)
            if entity is not None
        )

    def _change(self, there: Event, event: Event) -> bool:
        with self._using() as database:
            database.execute("BEGIN IMMEDIATE")
            # Under a new number, so that other readers see it.
            changed = database.execute(
                "UPDATE events SET event = ?, number = (SELECT max(number) FROM events) + 1 WHERE key = ? AND event = ?",
                [_written(event), event.key, _written(there)],
            )
            if changed.rowcount:
                self._put(database, event)
            ((number,),) = database.execute("SELECT max(number) FROM events").fetchall()
            database.execute("COMMIT")
            if changed.rowcount:
                self._wrote(event, number)
            return bool(changed.rowcount)

    def _wrote(self, event: Event, number: int) -> None:
        """Put what this reader wrote into its own tracks, unless another came before it, which is read first."""
        own = self._own
        if number == own.seen + 1:
            own.cache.take(event)
            own.seen = number
        else:
            own.wrote = True

    def _put(self, database: sqlite3.Connection, event: Event) -> None:
        marks = ", ".join("?" * (6 + len(event.values)))
        for layout, entity in zip(self.layouts, event.entities, strict=True):
            if entity is None:
                continue
            row = [layout.place, entity, event.time, event.received, event.known, event.key, *event.values]
            database.execute(f"INSERT OR REPLACE INTO places VALUES ({marks})", row)
            if self.keep is not None:
                self._drop(database, layout.place, entity)

    def _drop(self, database: sqlite3.Connection, place: int, entity: str) -> None:
        which = "FROM places WHERE place = ? AND entity = ?"
        first, last = database.execute(f"SELECT min(time), max(time) {which}", [place, entity]).fetchone()
        if last - first <= 2 * self.keep:
            return
        before = last - self.keep
        gone = database.execute(
            f"SELECT key, time {which} AND time < ? ORDER BY time", [place, entity, before]
        ).fetchall()
        database.execute(f"DELETE {which} AND time < ?", [place, entity, before])
        database.execute("INSERT OR REPLACE INTO dropped VALUES (?, ?, ?)", [place, entity, gone[-1][1]])
        for key, _ in gone:
            self._forget(database, key)

    def _forget(self, database: sqlite3.Connection, key: str) -> None:
        """Drop an event that none of its entities keeps."""
        event = self._event(database, key)
        which = (
            "SELECT 1 FROM places WHERE place = ? AND entity = ? AND time = ? AND received = ? AND key = ?"
        )
        if event and not any(
            database.execute(which, [layout.place, entity, event.time, event.received, key]).fetchone()
            for layout, entity in zip(self.layouts, event.entities, strict=True)
        ):
            database.execute("DELETE FROM events WHERE key = ?", [key])

    def _tracks(self, wanted: list[tuple[Layout, str]]) -> dict[tuple[int, str], Track]:
        with self._using() as database:
            own = self._own
            (version,) = database.execute("PRAGMA data_version").fetchone()
            known = own.cache.tracks
            missing = [(layout, entity) for layout, entity in wanted if (layout.place, entity) not in known]
            if missing or version != own.version or own.wrote:
                # What is read below is of one moment.
                database.execute("BEGIN")
                self._catch_up(database)
                own.cache.keep(
                    {
                        (layout.place, entity): self._track(database, layout, entity)
                        for layout, entity in missing
                    },
                    wanted,
                )
                database.execute("COMMIT")
                own.version, own.wrote = version, False
            return {
                (layout.place, entity): own.cache.tracks[layout.place, entity] for layout, entity in wanted
            }

    def _catch_up(self, database: sqlite3.Connection) -> None:
        """Put what came since the last look into the tracks that are kept."""
        own = self._own
        if own.cache.tracks:
            came = "SELECT number, event FROM events WHERE number > ? ORDER BY number"
            for number, event in database.execute(came, [own.seen]).fetchall():
                own.cache.take(_read(event))
                own.seen = number
        else:
            (own.seen,) = database.execute("SELECT coalesce(max(number), 0) FROM events").fetchone()

    def _track(self, database: sqlite3.Connection, layout: Layout, entity: str) -> Track:
        which = "WHERE place = ? AND entity = ?"
        rows = database.execute(
            f"SELECT {self._names} FROM places {which} ORDER BY time, received, key", [layout.place, entity]
        ).fetchall()
        dropped = database.execute(f"SELECT time FROM dropped {which}", [layout.place, entity]).fetchone()
        return Track.of(layout, rows, dropped and dropped[0])


def _written(event: Event) -> str:
    return json.dumps(packed(event), separators=(",", ":"))


def _read(text: str) -> Event:
    return unpacked(json.loads(text))
