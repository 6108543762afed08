"""Versions of datasets that can be told from half-written ones.

A version is a folder ``<dataset>/<version>/``. It counts only once ``manifest.json`` stands in it, written last: to a
temporary name, flushed to disk, renamed. Until then it is a draft: it is never read, and ``clean`` removes it when its
writer is gone. Beside the versions stand two files of the dataset: ``.lock``, held for moments, and ``.latest``, which
names the newest version so that finding it costs the same among ten and among a hundred thousand.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hardcover.errors import VersionError, some
from hardcover.store import disk

MANIFEST = "manifest.json"
FORMAT = "hardcover.manifest/2"
FORMATS = {"hardcover.manifest/1", FORMAT}
LATEST, WRITING = ".latest", ".writing"
NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d\.\d{3,6}Z")
WORTH_A_THREAD = 1_000_000
REMOVE = "Remove the version's folder ({folder}); an older version is then the latest."


def committed(dataset: Path) -> list[str]:
    """List the committed versions under the folder ``dataset``, newest first."""
    return [name for name in names(dataset) if is_committed(dataset / name)]


def is_committed(folder: Path) -> bool:
    """Check whether the version in ``folder`` counts."""
    return (folder / MANIFEST).is_file()


def names(dataset: Path) -> list[str]:
    """List all versions under the folder ``dataset``, drafts too, newest first."""
    try:
        with os.scandir(dataset) as entries:
            return sorted((entry.name for entry in entries if entry.is_dir()), reverse=True)
    except (FileNotFoundError, NotADirectoryError):
        return []


def latest(dataset: Path) -> str | None:
    """Find the newest committed version under the folder ``dataset``; None without any.

    ``.latest`` names the version that was about to be committed and the one before it. Where it is missing, damaged
    or names nothing that is there, all versions are looked through.
    """
    for name in pointed(dataset):
        if is_committed(dataset / name):
            return name
    return next((name for name in names(dataset) if is_committed(dataset / name)), None)


def newest(dataset: Path) -> str | None:
    """Find the newest version that was ever about to be committed; None without any."""
    named = pointed(dataset)
    return named[0] if named else next(iter(names(dataset)), None)


def pointed(dataset: Path) -> list[str]:
    """Read what ``.latest`` names, newest first; empty where it is missing or damaged."""
    try:
        check, *names = (dataset / LATEST).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        return []
    return [name for name in names if name] if check == disk.digest_of("\n".join(names)) else []


def point(dataset: Path, *names: str | None) -> None:
    """Write ``.latest``; only for the one who holds the dataset's lock."""
    text = "\n".join(name for name in names if name)
    disk.write_atomically(dataset / LATEST, f"{disk.digest_of(text)}\n{text}".encode())


def seal(folder: Path, digest: Callable[[Path], str] = disk.digest) -> dict[str, dict]:
    """Hash the files that were saved in a version's ``folder``; returns ``sha256`` and ``bytes`` of each by name.

    Parameters
    ----------
    folder
        The version's folder.
    digest
        Returns the SHA-256 of a file; one that followed the writer has most of it ready.

    Raises
    ------
    VersionError
        When nothing was saved.
    OSError
        When the disk fails.
    """
    paths = _saved(folder)
    if not paths:
        raise VersionError(
            "nothing was saved", str(folder), "Check that the dataset's type writes to its filepath."
        )
    sizes = {path: path.stat().st_size for path in paths}
    large = [path for path in paths if sizes[path] > WORTH_A_THREAD]
    with ThreadPoolExecutor(1) as background:
        # Hashing and waiting for the disk need different parts of the machine.
        flushed = background.submit(lambda: [disk.flush(path) for path in large]) if large else None
        files = {
            path.relative_to(folder).as_posix(): {"sha256": digest(path), "bytes": sizes[path]}
            for path in paths
        }
        if flushed:
            flushed.result()
    return files


def _saved(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / WRITING]


def commit(folder: Path, facts: dict, files: dict[str, dict] | None = None) -> dict:
    """Make the files in a version's ``folder`` count, by writing their manifest last.

    Parameters
    ----------
    folder
        The version's folder, with the files that were saved.
    facts
        What the manifest says besides the files: dataset, version, node, inputs, ...
    files
        As ``seal`` gave them; None seals now.

    Returns
    -------
    dict
        The manifest. Its ``content`` is one digest over the files' names and SHA-256.

    Raises
    ------
    VersionError, OSError
        As ``seal`` does; the version is then a draft as before.
    """
    files = files or seal(folder)
    paths = _saved(folder)
    for path in [*paths, *({path.parent for path in paths} - {folder})]:
        disk.flush(path)
    manifest = {**facts, "format": FORMAT, "files": files, "content": content_of(files)}
    # As it will be read: parameters may hold dates, or numbers as keys.
    manifest = json.loads(json.dumps(manifest, default=str))
    dataset = folder.parent
    with disk.locked(dataset):
        before = latest(dataset)
        if before is None or before < folder.name:
            point(dataset, folder.name, before)
        else:
            # As pointing does, too: the version's folder must be in the list of names before it counts.
            disk.flush(dataset)
        disk.write_atomically(folder / MANIFEST, _as_bytes(manifest))
    (folder / WRITING).unlink(missing_ok=True)
    return manifest


def content_of(files: dict[str, dict]) -> str:
    """Return one SHA-256 over the names and SHA-256 of a manifest's ``files``."""
    return disk.digest_of("".join(f"{name}\0{facts['sha256']}\n" for name, facts in sorted(files.items())))


def _as_bytes(manifest: dict) -> bytes:
    manifest = {name: value for name, value in manifest.items() if name != "digest"}
    body = json.dumps(manifest, sort_keys=True)
    return json.dumps({**manifest, "digest": disk.digest_of(body)}, indent=1, sort_keys=True).encode()


def manifest_of(folder: Path) -> dict:
    """Read the manifest in a version's ``folder``.

    Raises
    ------
    VersionError
        When it is missing, damaged or edited.
    """
    path = folder / MANIFEST
    fix = REMOVE.format(folder=folder)
    try:
        content = path.read_bytes()
        manifest = json.loads(content)
        if manifest["format"] not in FORMATS or not isinstance(manifest["files"], dict):
            raise KeyError(f"format {manifest['format']!r}")
        if manifest["format"] == FORMAT:
            if _as_bytes(manifest) != content:
                raise ValueError("it is not what was written")
        else:
            manifest["content"] = content_of(manifest["files"])
    except FileNotFoundError as error:
        raise VersionError("a version was never committed", str(folder), "Run: hardcover clean.") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise VersionError(f"a manifest is damaged: {error}", str(path), fix) from error
    return manifest


def verify(folder: Path) -> dict:
    """Compare the files in a version's ``folder`` with its manifest; returns the manifest.

    Raises
    ------
    VersionError
        When a file is missing or has other bytes than were committed.
    """
    manifest = manifest_of(folder)
    fix = f"Restore the file, or remove the version's folder and run the stage again: rm -r {folder}; hardcover run."
    for name, facts in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            raise VersionError(f"the file {name!r} of a committed version is missing", str(folder), fix)
        if disk.digest(path) != facts["sha256"]:
            raise VersionError(f"the file {name!r} is not the one that was committed", str(path), fix)
    return manifest


def discard(folder: Path) -> None:
    """Remove a version's ``folder``, and the dataset's folder if nothing else is in it."""
    # First what makes it count: no reader may see a manifest without its files.
    (folder / MANIFEST).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    if folder.parent.is_dir():
        with disk.locked(folder.parent):
            remove_empty(folder.parent)


def remove_empty(dataset: Path) -> None:
    """Remove a dataset's folder that holds no version; only for the one who holds its lock."""
    if {path.name for path in dataset.iterdir()} <= {disk.LOCK, LATEST}:
        shutil.rmtree(dataset, ignore_errors=True)


def datasets(root: Path) -> list[Path]:
    """List the folders of all datasets under a data folder: those that hold versions, at any depth."""
    found = []
    for place, folders, names_of_files in os.walk(root):
        folder = Path(place)
        if disk.LOCK in names_of_files or any(
            NAME.fullmatch(name) and is_committed(folder / name) for name in folders
        ):
            found.append(folder)
            folders.clear()
    return sorted(found)


def by_dataset(root: Path) -> dict[str, Path]:
    """Map each dataset to the folder of its versions under a data folder, as the newest manifests name them.

    Folders whose newest manifest is damaged, or that hold no committed version, are left out.
    """
    found = {}
    for folder in datasets(root):
        newest = latest(folder)
        try:
            if newest:
                found[manifest_of(folder / newest)["dataset"]] = folder
        except (VersionError, KeyError):
            continue
    return found


def no_version(dataset: str, folder: Path, wanted: str | None = None) -> VersionError:
    """Make the error for a dataset without the wanted version, or without any."""
    known = committed(folder)
    what = f"dataset {dataset!r} has no committed version" + (f" {wanted!r}" if wanted else "")
    there = f" Versions: {some(known)}." if known else ""
    return VersionError(what, str(folder), f"Run the stage that makes it: hardcover run.{there}")


def all_committed(root: Path) -> Iterable[Path]:
    """Return the folders of all committed versions under a data folder."""
    for dataset in datasets(root):
        yield from (dataset / name for name in committed(dataset))
