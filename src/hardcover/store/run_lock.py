"""One run at a time in one data folder.

A file lock of the operating system: it is gone when its holder dies, however it dies.
"""

import fcntl
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hardcover import settings
from hardcover.errors import RunLocked
from hardcover.store import drafts

logger = logging.getLogger(__name__)
# Set for processes that work for a run which holds the lock already.
INHERITED = "HARDCOVER_LOCK"
STARTING = "a process that is just starting"
_held: set[Path] = set()


@contextmanager
def hold(name: str = "run", wait: float | None = None) -> Iterator[bool]:
    """Hold the lock ``name`` of the data folder; returns False where this or the parent process holds it already.

    Parameters
    ----------
    name
        ``run`` for a whole run; others guard shorter work.
    wait
        Seconds to wait for another holder, who is named at once; default: the setting ``run.wait``.

    Raises
    ------
    RunLocked
        When the other holder is still there after ``wait`` seconds.
    """
    if os.environ.get(INHERITED) == name:
        yield False
        return
    wait = float(settings.read("run.wait")) if wait is None else wait
    path = Path(settings.read("data.root")) / f".{name}.lock"
    if path in _held:
        yield False
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        _acquire(file, path, wait)
        file.truncate(0)
        json.dump({"pid": os.getpid(), "command": " ".join(sys.argv)[:200], "since": time.ctime()}, file)
        file.flush()
        _held.add(path)
        try:
            yield True
        finally:
            _held.discard(path)


@contextmanager
def alone() -> Iterator[None]:
    """Hold the lock of a whole run; the first to take it removes what killed runs left behind.

    Raises
    ------
    RunLocked
        As ``hold`` does.
    """
    with hold() as first:
        if first:
            removed = drafts.clean(Path(settings.read("data.root")))
            if removed:
                logger.warning(
                    "removed %d leftovers of a stopped run, such as %s", len(removed), removed[0].parent.name
                )
        yield


def _acquire(file, path: Path, wait: float) -> None:
    deadline, told = time.monotonic() + wait, False
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _holder(path)
            if time.monotonic() >= deadline:
                fix = "Wait for it, stop it, raise run.wait in settings.ini, or set HARDCOVER_DATA_ROOT."
                raise RunLocked(f"another run is at work: {holder}", str(path), fix) from error
            # The holder writes who it is right after it took the lock.
            if not told and holder != STARTING:
                print(f"waiting up to {wait:.0f} s for another run: {holder}", file=sys.stderr, flush=True)  # noqa: T201
                told = True
            time.sleep(0.2)


def _holder(path: Path) -> str:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return f"process {facts['pid']}, {facts['command']!r}, since {facts['since']}"
    except (OSError, ValueError, KeyError):
        return STARTING
