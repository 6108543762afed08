"""Drafts: versions that are being written, each by one process, and what is left of them when it is killed."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hardcover.store import disk, versions


class Draft:
    """A version that one process is writing; ``draft`` makes it.

    Attributes
    ----------
    folder
        Where its files go.
    files
        Their hashes, once they are written; None before.
    """

    def __init__(self, folder: Path, mark: int):
        self.folder, self._mark = folder, mark
        self.files: dict[str, dict] | None = None

    @property
    def content(self) -> str:
        """Return the digest of the sealed files, as the manifest will."""
        return versions.content_of(self.files)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hash what is saved in the block, meanwhile; nothing may be written afterwards."""
        with disk.Follower(self.folder) as follower:
            yield
        self.files = versions.seal(self.folder, follower.digest)

    def commit(self, facts: dict) -> dict:
        """Make the files count, as ``versions.commit`` does; returns the manifest."""
        try:
            return versions.commit(self.folder, facts, self.files)
        finally:
            self._release()

    def discard(self) -> None:
        """Remove the files."""
        versions.discard(self.folder)
        self._release()

    def _release(self) -> None:
        if self._mark >= 0:
            os.close(self._mark)
            self._mark = -1


def draft(dataset: Path) -> Draft:
    """Claim a new version under the folder ``dataset``, later than all that are there, and not shared.

    Its name is the time in UTC to the microsecond. A lock of the operating system marks it as being written, and
    is gone with its process.
    """
    with disk.locked(dataset):
        newest = versions.newest(dataset) or ""
        while True:
            name = f"{datetime.now(UTC):%Y-%m-%dT%H.%M.%S.%fZ}"
            # A clock that was set back must not hide the new version behind an older one.
            if name <= newest:
                name = _after(newest)
            try:
                (dataset / name).mkdir()
                break
            except FileExistsError:
                newest = name
        mark = os.open(dataset / name / versions.WRITING, os.O_CREAT | os.O_RDWR, 0o644)
        fcntl.flock(mark, fcntl.LOCK_EX)
    return Draft(dataset / name, mark)


def _after(name: str) -> str:
    try:
        time = datetime.strptime(name, "%Y-%m-%dT%H.%M.%S.%fZ")
    except ValueError:
        return f"{name}-1"
    return f"{time + timedelta(microseconds=1):%Y-%m-%dT%H.%M.%S.%fZ}"


def commit_again(folder: Path) -> dict:
    """Commit a version's files once more, as the newest version; they are linked, not copied.

    For results that are right again after a parameter went there and back: the newest version is what everyone
    reads.
    """
    manifest = versions.verify(folder)
    again = draft(folder.parent)
    try:
        for name in manifest["files"]:
            path = again.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            disk.link(folder / name, path)
        return again.commit({**manifest, "version": again.folder.name, "same_as": folder.name})
    except BaseException:
        again.discard()
        raise


def clean(root: Path) -> list[Path]:
    """Remove what killed processes left under a data folder; returns what was removed.

    That is drafts whose writer is gone and files under temporary names. Drafts of living processes stay. Finds each
    dataset's newest version again, for those who copied or removed versions by hand.
    """
    removed: list[Path] = []
    for dataset in versions.datasets(root):
        with disk.locked(dataset):
            for folder in [dataset / name for name in versions.names(dataset)]:
                if versions.is_committed(folder):
                    removed += _without_leftovers(folder)
                elif _is_left(folder):
                    shutil.rmtree(folder, ignore_errors=True)
                    removed.append(folder)
            removed += _without_leftovers(dataset)
            known = next(iter(versions.committed(dataset)), None)
            if known and versions.pointed(dataset)[:1] != [known]:
                versions.point(dataset, known)
            versions.remove_empty(dataset)
    return removed


def _without_leftovers(folder: Path) -> list[Path]:
    left = [path for path in folder.iterdir() if path.name == versions.WRITING or disk.is_temporary(path)]
    for path in left:
        path.unlink(missing_ok=True)
    return left


def _is_left(folder: Path) -> bool:
    """Check whether a folder is a draft whose writer is gone; what other programs put there is none."""
    try:
        handle = os.open(folder / versions.WRITING, os.O_RDWR)
    except FileNotFoundError:
        return bool(versions.NAME.fullmatch(folder.name)) and not any(folder.iterdir())
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    return True
