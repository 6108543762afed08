"""What was answered, kept: each worker appends to a segment of its own, off the request's path; ``hardcover collect`` makes tables of them.

A segment is a file of lines, each the CRC-32 of what follows it in hexadecimal, a blank, and an answer as JSON. A worker holds a lock
on the segment that it writes (``.open``); when it ends, or the segment is large, that becomes ``.log``. Lines are written and synced some
times a second: what a kill can lose is what was answered since. Where the log is durable, answers leave when they are on the disk, many
after one sync. A request of a table is one line, with columns; `read` returns its rows.
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
from hardcover.serving import arrow
from hardcover.serving.counters import Counters
from hardcover.serving.exchange import Request
from hardcover.serving.release import SEEN

# Seconds between two writes, bytes of a segment, and bytes that wait at most while the disk takes none.
INTERVAL, SEGMENT, WAITING = 0.2, 64 * 2**20, 64 * 2**20
_BLANKS = b" " * 4096


class Policy(NamedTuple):
    """What is kept.

    Attributes
    ----------
    folder
        Where segments are.
    share
        Of the requests, from 0 to 1.
    inputs
        ``yes``: the records; ``digest``: their SHA-256; ``no``: nothing of them.
    required
        Whether nothing is answered while the log cannot be written.
    durable
        Whether an answer leaves only when it is on the disk.
    """

    folder: str
    share: float = 1.0
    inputs: str = "yes"
    required: bool = False
    durable: bool = False


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

    @property
    def is_holding(self) -> bool:
        """Whether an answer must wait for what was added to be written."""
        return self.policy.durable and bool(self._added)

    def add(self, release: Any, request: Request, inputs: Any, found: list | dict, took: int) -> bytes:
        """Keep what was answered, as `records.Scored` has it.

        Returns
        -------
        bytes
            The request's id, its own or one that is made here.
        """
        self._count += 1
        name = request.headers.get(b"x-request-id", b"")[:200] or f"{self._boot}-{self._count}".encode()
        if self.policy.share >= 1.0 or random.random() < self.policy.share:
            self._added.append((time.time_ns() // 1000, name, release, inputs, found, took))
        return name

    def lines(self) -> list[bytes]:
        """Take what was added since, as lines of a segment."""
        added, self._added = self._added, []
        made = []
        for moment, name, release, inputs, found, took in added:
            facts = {
                "time": moment,
                "id": name.decode("latin-1"),
                "case": release.name,
                "release": release.version,
                "digest": release.digest,
                "nanoseconds": took,
            }
            if isinstance(found, dict):
                made.append(_line(facts | self._table(release, inputs, found)))
                continue
            for row, (record, answer) in enumerate(zip(inputs, found, strict=True)):
                event = {**facts, "row": row, "score": answer.score, "label": answer.label}
                if self.policy.inputs == "yes":
                    event["inputs"] = record
                elif self.policy.inputs == "digest":
                    event["inputs_sha256"] = _sha256(record)
                if answer.contributions is not None:
                    event["contributions"] = answer.contributions
                if self.policy.inputs == "yes" and (saw := getattr(answer, "inputs", None)) is not None:
                    event |= zip(release.seen, saw, strict=True)
                made.append(_line(event))
        return made

    def _table(self, release: Any, inputs: Any, found: dict) -> dict:
        inputs = inputs if isinstance(inputs, dict) else arrow.columns(inputs)
        made = {"columns": {"score": found["score"]}}
        if "label" in found:
            made["columns"]["label"] = found["label"]
        if self.policy.inputs == "yes":
            made["inputs"] = inputs
            if SEEN in found:
                made["columns"] |= zip(release.seen, found[SEEN].T.copy(), strict=True)
        elif self.policy.inputs == "digest":
            rows = zip(*inputs.values(), strict=True)
            made["columns"]["inputs_sha256"] = [_sha256(dict(zip(inputs, row, strict=True))) for row in rows]
        return made

    def write(self, lines: list[bytes]) -> bool:
        """Append lines and sync; where the disk takes none, they wait, and the oldest go when they are too many.

        Where the log is durable, lines do not wait: their answers are refused.

        Returns
        -------
        bool
            Whether all is on the disk.
        """
        self._waiting += lines
        if not self._waiting and not (self.policy.durable and self.is_failing):
            return True
        # Of answers that were refused nothing is left to be written: whether the disk takes some again is tried with blanks.
        content = b"".join(self._waiting) or _BLANKS
        try:
            if self._size + len(content) > SEGMENT and self._size:
                self._seal()
                self._open()
            elif self._file < 0:
                self._open()
            begin = self._size
            self._append(content)
            if content is _BLANKS:
                self._cut(begin)
        except OSError:
            self._note(True)
            size, most = len(content), 0 if self.policy.durable else WAITING
            while self._waiting and size > most:
                size -= len(self._waiting.pop(0))
                self.counters.add("log_lost")
            return False
        self.counters.add("logged", len(self._waiting))
        self._waiting = []
        self._note(False)
        return True

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
                self._cut(begin)
            raise

    def _cut(self, size: int) -> None:
        self._size = size
        os.ftruncate(self._file, size)

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


def _line(event: dict) -> bytes:
    text = orjson.dumps(event, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _plain(value: Any) -> Any:
    # A contribution is a named tuple, texts of a table are an array of objects; of what else a column of Arrow may hold, as it reads.
    return list(value) if hasattr(value, "__iter__") else str(value)


def _sha256(record: Any) -> str:
    content = orjson.dumps(record, default=_plain, option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY)
    return hashlib.sha256(content).hexdigest()


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
    """Yield the answers of a segment, a dict for each row.

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
            yield from _rows(json.loads(text))
        elif number < len(lines):
            fix = "Restore the file, or move it away to do without its answers."
            raise HardcoverError(f"line {number} of a segment is damaged", str(segment), fix)


def _rows(event: dict) -> Iterator[dict]:
    columns = event.pop("columns", None)
    if columns is None:
        yield event
        return
    inputs = event.pop("inputs", None)
    for row, values in enumerate(zip(*columns.values(), strict=True)):
        answer = {**event, "row": row, "label": None, **dict(zip(columns, values, strict=True))}
        if inputs is not None:
            answer["inputs"] = {name: column[row] for name, column in inputs.items()}
        yield answer
