"""What was answered, kept: each worker appends to a segment of its own, off the request's path; ``hardcover collect`` makes tables of them.

A segment is a file of lines, each the CRC-32 of what follows it in hexadecimal, a blank, and an answer as JSON. A worker holds a lock
on the segment that it writes (``.open``); when it ends, or the segment is large, that becomes ``.log``. Lines are written and synced some
times a second: what a kill can lose is what was answered since.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import random
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from hardcover.errors import HardcoverError
from hardcover.serving.counters import Counters
from hardcover.serving.exchange import Request

# Seconds between two writes, bytes of a segment, and bytes that wait at most while the disk takes none.
INTERVAL, SEGMENT, WAITING = 0.2, 64 * 2**20, 64 * 2**20


class Policy(NamedTuple):
    """What is kept: in which folder, of which share of the requests, inputs or their digest; whether nothing is answered unlogged."""

    folder: str
    share: float = 1.0
    inputs: str = "yes"
    required: bool = False


class PredictionLog:
    """The log of one worker.

    Parameters
    ----------
    policy
        What is kept.
    counters
        Where lines are counted, and those that were lost.

    Attributes
    ----------
    is_failing
        Whether the last write failed.

    Raises
    ------
    HardcoverError
        When the folder cannot be written.
    """

    def __init__(self, policy: Policy, counters: Counters):
        self.policy, self.counters, self.is_failing = policy, counters, False
        self._boot, self._count = f"{time.time_ns():x}-{os.getpid()}", 0
        self._added: list[tuple] = []
        self._waiting: list[bytes] = []
        self._segment, self._file, self._size = 0, -1, 0
        try:
            self._open()
        except OSError as error:
            fix = "Give --log a folder that can be written."
            raise HardcoverError(f"cannot log answers: {error.strerror}", policy.folder, fix) from error

    def add(self, release: Any, request: Request, records: list, found: list, took: int) -> bytes:
        """Keep what was answered; return the request's id, its own or one that is made here."""
        self._count += 1
        name = request.headers.get(b"x-request-id", b"")[:200] or f"{self._boot}-{self._count}".encode()
        if self.policy.share >= 1.0 or random.random() < self.policy.share:
            self._added.append((time.time_ns() // 1000, name, release, records, found, took))
        return name

    def lines(self) -> list[bytes]:
        """Take what was added since, as lines of a segment."""
        added, self._added = self._added, []
        made = []
        for moment, name, release, records, found, took in added:
            for row, (record, answer) in enumerate(zip(records, found, strict=True)):
                event = {
                    "time": moment,
                    "id": name.decode("latin-1"),
                    "row": row,
                    "case": release.name,
                    "release": release.version,
                    "digest": release.digest,
                    "score": answer.score,
                    "label": answer.label,
                    "nanoseconds": took,
                }
                if self.policy.inputs == "yes":
                    event["inputs"] = record
                elif self.policy.inputs == "digest":
                    content = orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
                    event["inputs_sha256"] = hashlib.sha256(content).hexdigest()
                if answer.contributions is not None:
                    event["contributions"] = answer.contributions
                # A contribution is a named tuple.
                text = orjson.dumps(event, default=list)
                made.append(b"%08x %s\n" % (zlib.crc32(text), text))
        return made

    def write(self, lines: list[bytes]) -> None:
        """Append lines and sync; where the disk takes none, they wait, and the oldest go when they are too many."""
        self._waiting += lines
        if not self._waiting:
            return
        content = b"".join(self._waiting)
        try:
            if self._size + len(content) > SEGMENT and self._size:
                self._seal()
                self._open()
            elif self._file < 0:
                self._open()
            self._append(content)
        except OSError:
            self._note(True)
            size = len(content)
            while size > WAITING:
                size -= len(self._waiting.pop(0))
                self.counters.add("log_lost")
            return
        self.counters.add("logged", len(self._waiting))
        self._waiting = []
        self._note(False)

    def _note(self, failing: bool) -> None:
        self.is_failing = failing
        self.counters.set("log_failing", failing)

    def _append(self, content: bytes) -> None:
        begin = self._size
        try:
            while content:
                written = os.write(self._file, content)
                self._size, content = self._size + written, content[written:]
            os.fdatasync(self._file)
        except OSError:
            # No half line stays before what is written next.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, begin)
            self._size = begin
            raise

    def _open(self) -> None:
        folder = Path(self.policy.folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._segment += 1
        self._path = folder / f"{self._boot}-{self._segment:06}.open"
        self._file = os.open(
            self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o640
        )
        self._size = 0
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def _seal(self) -> None:
        os.close(self._file)
        self._file = -1
        if self._size:
            self._path.rename(self._path.with_suffix(".log"))
        else:
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Write what was added last, and leave the segment to be collected."""
        self.write(self.lines())
        if self._file >= 0:
            self._seal()


def segments(folder: Path) -> list[Path]:
    """List the segments that no worker writes any more, those of dead workers too, the oldest first."""
    found = []
    for path in sorted(folder.glob("*-*-*.*")):
        if path.suffix == ".log":
            found.append(path)
        elif path.suffix == ".open":
            with path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    continue
                found.append(path)
    return found


def read(segment: Path) -> Iterator[dict]:
    """Yield the answers of a segment.

    A last line that was cut off is left out: its writer was killed while it wrote.

    Raises
    ------
    HardcoverError
        When any other line is not the one that was written.
    """
    lines = segment.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        text = line[9:]
        if line[8:9] == b" " and line[:8] == b"%08x" % zlib.crc32(text):
            yield json.loads(text)
        elif number < len(lines):
            fix = "Restore the file, or move it away to do without its answers."
            raise HardcoverError(f"line {number} of a segment is damaged", str(segment), fix)
