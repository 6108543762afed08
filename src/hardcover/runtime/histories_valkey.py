"""Histories in Valkey or Redis, for many machines."""

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from .events import Event, fingerprint, packed, unpacked
from .snapshot import DamagedHistories
from .stored import Cache, HistoriesUnavailable, StoredHistories, TooLate
from .track import Track
from .track_layout import Layout
from .window_plan import Plan

# What came, for readers that keep tracks; who was away for longer reads them anew.
LOG = 10_000
# An event and its places are kept in one step, so that no reader and no crash sees a part of it. A place is a sorted set by time.
# KEYS: the event, then for each entity its place and where it says what it dropped. ARGV: the event, its time, how long to keep, then 1.
_ADD = """
local there = redis.call('GET', KEYS[1])
if there then return there end
for at = 2, #KEYS, 2 do
  local dropped = redis.call('GET', KEYS[at + 1])
  if dropped and tonumber(dropped) >= tonumber(ARGV[2]) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1])
local number = redis.call('INCR', ARGV[4] .. ':number')
redis.call('XADD', ARGV[4] .. ':log', 'MAXLEN', '~', ARGV[5], number .. '-1', 'event', ARGV[1])
for at = 2, #KEYS, 2 do
  redis.call('ZADD', KEYS[at], ARGV[2], ARGV[1])
  local keep = tonumber(ARGV[3])
  if keep >= 0 then
    local first = redis.call('ZRANGE', KEYS[at], 0, 0, 'WITHSCORES')
    local last = redis.call('ZRANGE', KEYS[at], -1, -1, 'WITHSCORES')
    local before = tonumber(last[2]) - keep
    if tonumber(first[2]) < before - keep then
      local gone = redis.call('ZRANGEBYSCORE', KEYS[at], '-inf', '(' .. string.format('%.0f', before), 'WITHSCORES')
      redis.call('SET', KEYS[at + 1], gone[#gone])
      redis.call('ZREMRANGEBYSCORE', KEYS[at], '-inf', '(' .. string.format('%.0f', before))
    end
  end
end
return 1
"""
_CHANGE = """
if redis.call('GET', KEYS[1]) ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
local number = redis.call('INCR', ARGV[4] .. ':number')
redis.call('XADD', ARGV[4] .. ':log', 'MAXLEN', '~', ARGV[5], number .. '-1', 'event', ARGV[1])
for at = 2, #KEYS do
  if redis.call('ZREM', KEYS[at], ARGV[2]) == 1 then redis.call('ZADD', KEYS[at], ARGV[3], ARGV[1]) end
end
return 1
"""


class ValkeyHistories(StoredHistories):
    """Histories in a server of Valkey, or of Redis, that many machines share.

    How safe they are from a loss of power is the server's ``appendfsync`` (https://valkey.io/topics/persistence/). Keys of events stay
    until they are deleted by hand, so that none counts twice.

    Parameters
    ----------
    plan, keep
        As ``Histories`` takes them.
    client
        A connection, as the packages ``valkey`` and ``redis`` make them: ``valkey.Valkey(host, port)``.
    prefix
        Of all keys: one for each case.

    Raises
    ------
    DamagedHistories
        When the keys are of other windows.
    HistoriesUnavailable
        When the server cannot be reached.
    """

    def __init__(self, plan: Plan, client: Any, prefix: str, keep: timedelta | None = None):
        super().__init__(plan, keep)
        self._client, self._prefix = client, prefix
        self._cache, self._seen, self._lock = Cache(self.layouts), 0, threading.Lock()
        self._add_script, self._change_script = (client.register_script(each) for each in (_ADD, _CHANGE))
        mine = fingerprint(plan)
        found = self._asked(
            lambda: (client.set(f"{prefix}:plan", mine, nx=True), client.get(f"{prefix}:plan"))[1]
        )
        if _text(found) != mine:
            raise DamagedHistories(
                f"the keys {prefix}:* are of other windows; use another prefix for this release"
            )

    def _asked(self, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except Exception as error:
            # Without the package there is no class to name; all errors of both derive from one named so, or from OSError.
            if isinstance(error, OSError) or {"ValkeyError", "RedisError"} & {
                kind.__name__ for kind in type(error).__mro__
            }:
                raise HistoriesUnavailable(
                    f"histories at {self._prefix}: {error}; the event was not kept"
                ) from error
            raise

    def event(self, key: str) -> Event | None:
        """Return the event with a key, if it is kept."""
        found = self._asked(lambda: self._client.get(self._key(key)))
        return None if found is None else _read(found)

    def _key(self, key: str) -> str:
        return f"{self._prefix}:event:{key}"

    def _place(self, layout: Layout, entity: str) -> str:
        return f"{self._prefix}:{layout.place}:{entity}"

    def _places(self, event: Event) -> list[str]:
        pairs = zip(self.layouts, event.entities, strict=True)
        return [self._place(layout, entity) for layout, entity in pairs if entity is not None]

    def _add(self, event: Event) -> Event | None:
        keys = [self._key(event.key)]
        for place in self._places(event):
            keys += [place, f"{place}:dropped"]
        given = [_written(event), event.time, -1 if self.keep is None else self.keep, self._prefix, LOG]
        found = self._asked(lambda: self._add_script(keys=keys, args=given))
        if found == 0:
            raise TooLate
        return None if found == 1 else _read(found)

    def _change(self, there: Event, event: Event) -> bool:
        keys, given = (
            [self._key(event.key), *self._places(event)],
            [_written(event), _written(there), event.time, self._prefix, LOG],
        )
        return bool(self._asked(lambda: self._change_script(keys=keys, args=given)))

    def _tracks(self, wanted: list[tuple[Layout, str]]) -> dict[tuple[int, str], Track]:
        with self._lock:
            missing = [each for each in wanted if (each[0].place, each[1]) not in self._cache.tracks]
            log = (f"{self._prefix}:log", f"({self._seen}-1", "+")
            if missing:
                asking = self._client.pipeline(transaction=False)
                asking.xrange(*log)
                for layout, entity in missing:
                    asking.zrange(self._place(layout, entity), 0, -1)
                    asking.get(f"{self._place(layout, entity)}:dropped")
                came, *answers = self._asked(asking.execute)
            else:
                came, answers = self._asked(lambda: self._client.xrange(*log)), []
            numbers = [int(_text(name).partition("-")[0]) for name, _ in came]
            if numbers and numbers[0] != self._seen + 1 and self._cache.tracks:
                # More came than the log holds.
                self._cache.tracks.clear()
                self._seen = numbers[-1]
                return self._tracks_anew(wanted)
            for number, (_, fields) in zip(numbers, came, strict=True):
                self._cache.take(_read(next(iter(fields.values()))))
                self._seen = number
            # Those read after the log may have what the log tells next time; a track takes it once.
            self._cache.keep(
                {
                    (layout.place, entity): _track(layout, members, dropped)
                    for (layout, entity), members, dropped in zip(
                        missing, answers[::2], answers[1::2], strict=True
                    )
                },
                wanted,
            )
            return {
                (layout.place, entity): self._cache.tracks[layout.place, entity] for layout, entity in wanted
            }

    def _tracks_anew(self, wanted: list[tuple[Layout, str]]) -> dict[tuple[int, str], Track]:
        asking = self._client.pipeline(transaction=False)
        for layout, entity in wanted:
            asking.zrange(self._place(layout, entity), 0, -1)
            asking.get(f"{self._place(layout, entity)}:dropped")
        answers = self._asked(asking.execute)
        found = {
            (layout.place, entity): _track(layout, members, dropped)
            for (layout, entity), members, dropped in zip(wanted, answers[::2], answers[1::2], strict=True)
        }
        self._cache.keep(found, wanted)
        return found


def _track(layout: Layout, members: list, dropped: str | bytes | None) -> Track:
    # One text for all, which is read faster than many.
    events = json.loads("[" + ",".join(map(_text, members)) + "]")
    rows = [(time, received, known, key, *values) for time, received, known, key, _, values in events]
    rows.sort(key=lambda row: row[:2] + row[3:4])
    return Track.of(layout, rows, None if dropped is None else int(dropped))


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _written(event: Event) -> str:
    return json.dumps(packed(event), separators=(",", ":"))


def _read(value: str | bytes) -> Event:
    return unpacked(json.loads(_text(value)))
