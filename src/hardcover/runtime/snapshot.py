"""A snapshot of histories on disk: read whole at once, its events decoded when somebody asks for their entity.

A file is the line ``FORMAT``; the size and CRC-32 of what follows (``<QI``); a line of JSON that says what it is of and how long its
parts are; then the parts. Of all events: their keys as JSON, and where each event's line ends (``<u8``). Of each kind of entity: the
names as JSON, where each one's events end (``<u4``), and the numbers of these events (``<u4``). Then the events, a line of JSON each.
"""

import json
import os
import struct
import sys
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path

from .events import Event, packed, unpacked

FORMAT = b"hardcover.histories/2\n"


class DamagedHistories(ValueError):
    """A snapshot that was cut off, was changed, or is of other windows."""


class Snapshot:
    """The events of a snapshot that were not taken yet; of none, where nothing was read.

    Parameters
    ----------
    kinds
        How many kinds of entities there are.

    Attributes
    ----------
    entities
        Of each kind of entity, its number by name; one that was taken is gone.
    dropped
        Of each kind of entity, the time up to which events were dropped, by name.
    """

    def __init__(self, kinds: int):
        self.entities: list[dict[str, int]] = [{} for _ in range(kinds)]
        self.dropped: list[dict[str, int]] = [{} for _ in range(kinds)]
        self._number: dict[str, int] = {}
        self._members: list[tuple[array, array]] = []
        self._content, self._begin, self._ends = b"", 0, array("Q")

    def __len__(self) -> int:
        return len(self._number)

    def event(self, key: str) -> Event | None:
        """Return an event, which stays here; None where it is not, or was taken."""
        number = self._number.get(key)
        return None if number is None else unpacked(json.loads(self._line(number)))

    def take(self, place: int, entity: str) -> tuple[list[Event], list[Event]]:
        """Take an entity with its events; returns them all, and those of them that were not taken with another entity before."""
        until, members = self._members[place]
        number = self.entities[place].pop(entity)
        found = [
            unpacked(json.loads(self._line(each)))
            for each in members[until[number - 1] if number else 0 : until[number]]
        ]
        return found, [event for event in found if self._number.pop(event.key, None) is not None]

    def forget(self, key: str) -> None:
        """Let go of an event, if it is here."""
        self._number.pop(key, None)

    def events(self) -> Iterator[Event]:
        """Yield the events that are here."""
        return (unpacked(json.loads(self._line(number))) for number in self._number.values())

    def _line(self, number: int) -> bytes:
        begin = self._begin + (self._ends[number - 1] if number else 0)
        return self._content[begin : self._begin + self._ends[number]]


def read(path: Path, plan: str) -> Snapshot:
    """Read a snapshot; ``plan`` is as ``events.fingerprint`` returns it.

    Raises
    ------
    DamagedHistories
        When it was cut off or changed, or is of other windows.
    """
    import zlib

    content, start = path.read_bytes(), len(FORMAT) + 12
    if not content.startswith(FORMAT) or len(content) < start:
        raise DamagedHistories(f"{path} is no snapshot of histories of this release, or was cut off")
    size, check = struct.unpack("<QI", content[len(FORMAT) : start])
    body = memoryview(content)[start:]
    if len(body) != size or zlib.crc32(body) != check:
        raise DamagedHistories(f"{path} was cut off or changed: {len(body)} of {size} bytes")
    begin = content.index(b"\n", start) + 1
    facts = json.loads(content[start:begin])
    if facts["plan"] != plan:
        raise DamagedHistories(
            f"{path} is of other windows; replay the events into histories of this release"
        )
    parts = []
    for length in facts["parts"]:
        parts.append(content[begin : begin + length])
        begin += length
    keys, ends, *rest = parts
    found = Snapshot(0)
    found._content, found._begin, found._ends = content, begin, _numbers("Q", ends)
    found._number = _numbered(keys)
    for names, until, members in zip(rest[::3], rest[1::3], rest[2::3], strict=True):
        found.entities.append(_numbered(names))
        found._members.append((_numbers("I", until), _numbers("I", members)))
    found.dropped = facts["dropped"]
    return found


def _numbered(names: bytes) -> dict[str, int]:
    return {name: number for number, name in enumerate(json.loads(names))}


def write(path: Path, events: Iterable[Event], dropped: list[dict[str, int]], plan: str) -> None:
    """Write events as a snapshot; it is there whole or not at all.

    Raises
    ------
    OSError
        When it cannot be written; a file that was there stays.
    """
    import zlib

    lines, keys, ends, total = [], [], array("Q"), 0
    members: list[dict[str, list[int]]] = [{} for _ in dropped]
    for number, event in enumerate(events):
        line = json.dumps(packed(event), separators=(",", ":")).encode()
        total += len(line)
        lines.append(line)
        keys.append(event.key)
        ends.append(total)
        for mine, entity in zip(members, event.entities, strict=True):
            if entity is not None:
                mine.setdefault(entity, []).append(number)
    parts = [json.dumps(keys).encode(), _bytes(ends)]
    for mine in members:
        until, every = array("I"), array("I")
        for numbers in mine.values():
            every.extend(numbers)
            until.append(len(every))
        parts += [json.dumps(list(mine)).encode(), _bytes(until), _bytes(every)]
    facts = {"plan": plan, "dropped": dropped, "events": len(keys), "parts": list(map(len, parts))}
    content = b"".join([json.dumps(facts).encode(), b"\n", *parts, *lines])
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(FORMAT + struct.pack("<QI", len(content), zlib.crc32(content)))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _numbers(kind: str, content: bytes) -> array:
    found = array(kind)
    found.frombytes(content)
    if sys.byteorder == "big":
        found.byteswap()
    return found


def _bytes(numbers: array) -> bytes:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()
