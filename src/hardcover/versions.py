"""Versions of datasets that can be told from half-written ones.

A version is the folder that Kedro writes, ``<filepath>/<version>/``. It counts only once ``manifest.json`` stands
in it, written last: to a temporary name, flushed to disk, renamed. What has no manifest is never read, and
``sweep`` removes it.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from hardcover.errors import VersionError, some

MANIFEST = "manifest.json"
FORMAT = "hardcover.manifest/1"


def committed(folder: Path) -> list[str]:
    """List the committed versions under a dataset's ``folder``, newest first."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [name for name in sorted(names, reverse=True) if (folder / name / MANIFEST).is_file()]


def commit(folder: Path, facts: dict) -> dict:
    """Make the files in a version's ``folder`` count, by writing their manifest last.

    Parameters
    ----------
    folder
        The version's folder, with the files that were saved.
    facts
        What the manifest says besides the files: dataset, version, node, inputs, ...

    Returns
    -------
    dict
        The manifest.
    """
    files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        files[path.relative_to(folder).as_posix()] = {"sha256": digest(path), "bytes": path.stat().st_size}
        _flush(path)
    if not files:
        raise VersionError(
            "nothing was saved", str(folder), "Check that the dataset's type writes to its filepath."
        )
    manifest = {"format": FORMAT, **facts, "files": files}
    write_atomically(folder / MANIFEST, json.dumps(manifest, indent=1, sort_keys=True).encode())
    return manifest


def manifest_of(folder: Path) -> dict:
    """Read the manifest in a version's ``folder``.

    Raises
    ------
    VersionError
        When it is missing or damaged.
    """
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest["format"] != FORMAT or not isinstance(manifest["files"], dict):
            raise KeyError(f"format {manifest['format']!r}")
    except FileNotFoundError as error:
        raise VersionError("a version was never committed", str(folder), "Remove the folder.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        fix = "Remove the version's folder; an older version is then the latest."
        raise VersionError(f"a manifest is damaged: {error}", str(path), fix) from error
    return manifest


def verify(folder: Path) -> dict:
    """Compare the files in a version's ``folder`` with its manifest; gives the manifest.

    Raises
    ------
    VersionError
        When a file is missing or has other bytes than were committed.
    """
    manifest = manifest_of(folder)
    fix = "Remove the version's folder and run the stage again, or restore the file."
    for name, facts in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            raise VersionError(f"the file {name!r} of a committed version is missing", str(folder), fix)
        if digest(path) != facts["sha256"]:
            raise VersionError(f"the file {name!r} is not the one that was committed", str(path), fix)
    return manifest


def discard(folder: Path) -> None:
    """Remove a version's ``folder``, and the dataset's folder if nothing else is in it."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.parent.rmdir()
    except OSError:
        return


def sweep(root: Path) -> list[Path]:
    """Remove all versions under ``root`` that were never committed; gives their folders.

    Only for the one who holds the run lock: a version that another run is writing looks the same.
    """
    removed = []
    for layer in _folders(root):
        for dataset in (folder for case in _folders(layer) for folder in _folders(case) if folder.suffix):
            for version in _folders(dataset):
                if not (version / MANIFEST).is_file():
                    discard(version)
                    removed.append(version)
    return removed


def _folders(parent: Path) -> Iterable[Path]:
    return [path for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []


def digest(path: Path) -> str:
    """Give the SHA-256 of a file as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that its name shows either the old content or the new, whole, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(content)
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def no_version(dataset: str, folder: Path, wanted: str | None = None) -> VersionError:
    """Make the error for a dataset without the wanted version, or without any."""
    known = committed(folder)
    what = f"dataset {dataset!r} has no committed version" + (f" {wanted!r}" if wanted else "")
    there = f" Versions: {some(known)}." if known else ""
    return VersionError(what, str(folder), f"Run the stage that makes it: hardcover run.{there}")
