"""Files that are whole or not there, also after a kill or a power cut; locks that are gone with their holder."""

import errno
import fcntl
import hashlib
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = ".lock"
# Written from front to back, by every writer that we know.
APPENDED = {".csv", ".parquet"}
LAG = 8_000_000


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a ``folder``, made if it is missing; waits for its holder."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o644)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            # Whoever held it before may have removed the folder with it.
            if _is_same(handle, folder / LOCK):
                yield
                return
        finally:
            os.close(handle)


def _is_same(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def digest(path: Path) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Follower:
    """Hash files while they are written, behind the writer, so that the hash of a large one costs no extra wait.

    Only for files that are written from front to back, which ``APPENDED`` tells by their names; no other is touched.

    Parameters
    ----------
    folder
        What is written below it between entering and leaving the block is followed, if the folder around it has the
        name of such a file, as a dataset's folder has.
    """

    def __init__(self, folder: Path):
        self._folder, self._done = folder, threading.Event()
        self._follows = folder.parent.suffix in APPENDED
        self._hashes: dict[Path, list] = {}
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> "Follower":
        if self._follows:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._follows:
            self._thread.join()

    def digest(self, path: Path) -> str:
        """Return the SHA-256 of a file that is complete now, reading only what was not read before."""
        facts = self._hashes.get(path)
        if facts is None or facts[0] != path.stat().st_ino or facts[1] > path.stat().st_size:
            return digest(path)
        self._advance(path, 0)
        return self._hashes[path][2].hexdigest()

    def _follow(self) -> None:
        while not self._done.wait(0.02):
            for path in self._folder.glob("*"):
                if path.suffix in APPENDED:
                    with suppress(FileNotFoundError):
                        self._advance(path, LAG)

    def _advance(self, path: Path, lag: int) -> None:
        with path.open("rb", buffering=0) as file:
            state = os.fstat(file.fileno())
            if state.st_size < lag:
                return
            inode, position, hashed = self._hashes.setdefault(path, [state.st_ino, 0, hashlib.sha256()])
            if inode != state.st_ino:
                return
            file.seek(position)
            while position < state.st_size - lag and (
                part := file.read(min(1 << 20, state.st_size - lag - position))
            ):
                hashed.update(part)
                position += len(part)
            self._hashes[path][1] = position


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that its name shows either the old content or the new, whole, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(content)
        flush(temporary)
        temporary.replace(path)
        flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def link(path: Path, to: Path) -> None:
    """Link a file that is never written to again under a second name, or copy it where the file system cannot."""
    try:
        to.hardlink_to(path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EXDEV, errno.EMLINK, errno.ENOTSUP):
            raise
        shutil.copyfile(path, to)


def flush(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def digest_of(content: str | bytes) -> str:
    """Return the SHA-256 of a text in UTF-8, or of bytes, as hexadecimal digits."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def is_temporary(path: Path) -> bool:
    """Check whether a file is what ``write_atomically`` leaves when its process is killed."""
    return path.name.startswith(".") and path.suffix == ".part"
