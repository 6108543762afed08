"""Kedro's catalog with versions that count only when committed, for every type of dataset.

``versioned: true`` in the catalog is all that a
dataset needs; types that Kedro cannot version, such as ``partitions.PartitionedDataset``, say
``metadata: {versioned: true}``.
"""

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from kedro.framework.context import CatalogCommandsMixin
from kedro.io import (
    AbstractDataset,
    AbstractVersionedDataset,
    CachedDataset,
    DataCatalog,
    DatasetError,
    MemoryDataset,
)
from kedro.io.core import Version

from hardcover import settings
from hardcover.errors import HardcoverError, StorageError
from hardcover.store import drafts, versions
from hardcover.store.drafts import Draft

LARGE = 50_000_000
_verified: dict[Path, dict] = {}


class VersionedCatalog(DataCatalog, CatalogCommandsMixin):
    """Load the newest committed version of a dataset; commit what is saved, within a run at its end.

    Within one run, a node reads what an earlier node of the same run saved. To everyone else it does not exist
    before the commit, and after ``discard``, or when the process dies, it never did.

    Attributes
    ----------
    in_run
        Whether what is saved waits for ``commit``; outside a run each save is committed by itself.
    saved
        Drafts of this run, by dataset.
    loaded
        Manifests of the committed versions that were read, by dataset.
    shapes
        ``rows`` and ``columns`` of the tables that were saved, by dataset.
    reused
        Folders of versions that stand for what this run would have saved; saving these datasets does nothing.
    origins
        What each node of this run computes from, by node; ``origins.origin_of`` fills it.
    makers
        The nodes of this run by the datasets that they give.
    reasons
        Why each node that ran had to, by node; those that are missing were reused.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.in_run = False
        self.saved: dict[str, Draft] = {}
        self.loaded: dict[str, dict] = {}
        self.shapes: dict[str, dict] = {}
        self.reused: dict[str, Path] = {}
        self.origins: dict[str, dict] = {}
        self.makers: dict[str, str] = {}
        self.reasons: dict[str, list[str]] = {}
        self._swapping = threading.RLock()
        # Remove drafts at exit; `clean` handles those of killed processes.
        weakref.finalize(self, _discard_all, self.saved)

    def __setitem__(self, key: str, value: Any) -> None:
        """Put a dataset or data in, parameters without looking how each is copied: Kedro would look for a missing package hundreds of times."""
        if key.startswith("params:") and not isinstance(value, AbstractDataset):
            value = MemoryDataset(value, copy_mode="deepcopy")
        super().__setitem__(key, value)

    def folder_of(self, ds_name: str) -> Path | None:
        """Return the folder of a dataset's versions; None where it is not versioned or not on this machine's disk."""
        # Another thread may have its dataset aimed at a version.
        with self._swapping:
            dataset = _innermost(self.get(ds_name))
            if isinstance(dataset, AbstractVersionedDataset):
                local = getattr(dataset, "_protocol", "file") == "file"
                return Path(dataset._filepath) if dataset._version is not None and local else None
            if (getattr(dataset, "metadata", None) or {}).get("versioned"):
                return Path(dataset._init_args[_path_argument(dataset)])
            return None

    def load(self, ds_name: str, version: str | None = None) -> Any:
        """Load a dataset in the given version, else this run's own, else the newest committed one.

        Raises
        ------
        VersionError
            When there is no committed version, or its files are not those that were committed.
        """
        if self.folder_of(ds_name) is None:
            return super().load(ds_name, version)
        if version is None and ds_name in self.saved:
            folder = self.saved[ds_name].folder
        else:
            folder = self.committed_folder(ds_name, version)
            if folder not in _verified and self._may_be_read_meanwhile(ds_name, folder):
                return self._load_and_verify(ds_name, folder)
            self.loaded[ds_name] = manifest_of(folder)
        with self._aimed_at(ds_name, folder):
            return super().load(ds_name)

    def _may_be_read_meanwhile(self, ds_name: str, folder: Path) -> bool:
        # A changed pickle must not even be opened; for small files a thread costs more than it saves.
        harmless = "pickle" not in type(_innermost(self[ds_name])).__module__
        return harmless and sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) > LARGE

    def _load_and_verify(self, ds_name: str, folder: Path) -> Any:
        with ThreadPoolExecutor(1) as background:
            verified = background.submit(manifest_of, folder)
            try:
                with self._aimed_at(ds_name, folder):
                    return super().load(ds_name)
            finally:
                # Damage is the better explanation of whatever reading it raised.
                self.loaded[ds_name] = verified.result()

    def committed_folder(self, ds_name: str, version: str | None = None) -> Path:
        """Return the folder of a dataset's given, reused or pinned version, else of its newest committed one.

        Raises
        ------
        VersionError
            When there is no such committed version.
        """
        if version is None and ds_name in self.reused:
            return self.reused[ds_name]
        version = version or self._load_versions.get(ds_name)
        folder = self.folder_of(ds_name)
        found = version or versions.latest(folder)
        if found is None or not versions.is_committed(folder / found):
            raise versions.no_version(ds_name, folder, version)
        return folder / found

    def exists(self, ds_name: str) -> bool:
        """Check whether a dataset has a version that can be loaded."""
        folder = self.folder_of(ds_name) if ds_name in self else None
        if folder is None:
            return super().exists(ds_name)
        return ds_name in self.saved or versions.latest(folder) is not None

    def save(self, ds_name: str, data: Any) -> None:
        """Save a dataset; within a run, other processes see the version only after ``commit``.

        Raises
        ------
        StorageError
            When the disk is full or the path cannot be written.
        """
        self.get(ds_name, fallback_to_runtime_pattern=True)
        folder = self.folder_of(ds_name)
        if ds_name in self.reused:
            return
        if folder is None:
            super().save(ds_name, data)
            return
        try:
            draft = self.saved.get(ds_name) or drafts.draft(folder)
            self.saved[ds_name] = draft
            self.shapes[ds_name] = _shape_of(data)
            with draft.writing(), self._aimed_at(ds_name, draft.folder):
                super().save(ds_name, data)
            if not self.in_run:
                self.commit(lambda _: {"node": None, "face": "module"})
        except (DatasetError, OSError) as error:
            raise _storage_error(error, f"dataset {ds_name!r}", folder) or error from error
        finally:
            if not self.in_run:
                self.discard()

    def commit(self, facts_of: Callable[[str], dict]) -> dict[str, dict]:
        """Make all that was saved count; returns the manifests by dataset, those of reused versions too.

        A reused version that is not the newest is committed again, so that everyone reads what this run says.

        Parameters
        ----------
        facts_of
            Returns what a dataset's manifest says about its origin.
        """
        manifests: dict[str, dict] = {}
        name = ""
        facts = {
            name: {"dataset": name, "version": draft.folder.name, **self.shapes[name], **facts_of(name)}
            for name, draft in self.saved.items()
        }
        try:
            # Most of a commit is waiting for the disk, which many files can do together.
            with ThreadPoolExecutor(8) as pool:
                done = {name: pool.submit(draft.commit, facts[name]) for name, draft in self.saved.items()}
            # All or nothing: when one fails, those that succeeded are discarded, too.
            manifests |= {name: future.result() for name, future in done.items()}
            for name, draft in self.saved.items():
                _verified[draft.folder] = manifests[name]
            self.saved.clear()
            for name, folder in self.reused.items():
                newest = versions.latest(folder.parent) == folder.name
                manifests[name] = manifest_of(folder) if newest else drafts.commit_again(folder)
                self.reused[name] = folder.parent / manifests[name]["version"]
        except OSError as error:
            raise _storage_error(error, f"dataset {name!r}", self.folder_of(name)) or error from error
        finally:
            self.discard()
        return manifests

    @contextmanager
    def _aimed_at(self, ds_name: str, folder: Path) -> Iterator[None]:
        dataset = self[ds_name]
        inner = _innermost(dataset)
        if isinstance(inner, AbstractVersionedDataset):
            version = Version(folder.name, folder.name)
            if inner._version != version:
                # A cached dataset would go on giving what it holds of another version.
                dataset.release()
                inner._version = version
            yield
            return
        with self._swapping:
            arguments, name = deepcopy(dataset._init_args), _path_argument(dataset)
            path = folder / Path(arguments[name]).name
            self._datasets[ds_name] = type(dataset)(**{**arguments, name: str(path)})
            try:
                yield
            finally:
                self._datasets[ds_name] = dataset

    def discard(self) -> None:
        """Remove all that was saved and not committed."""
        _discard_all(self.saved)


def manifest_of(folder: Path) -> dict:
    """Return the manifest of a committed version, whose files are compared with it once a process.

    With the setting ``data.verify`` off, only the manifest is looked at.

    Raises
    ------
    VersionError
        When a file is not the one that was committed.
    """
    if folder not in _verified:
        check = versions.verify if settings.read("data.verify") == "yes" else versions.manifest_of
        _verified[folder] = check(folder)
    return _verified[folder]


def _innermost(dataset: AbstractDataset | None) -> AbstractDataset | None:
    return dataset._dataset if isinstance(dataset, CachedDataset) else dataset


def _path_argument(dataset: AbstractDataset) -> str:
    return "path" if "path" in dataset._init_args else "filepath"


def _shape_of(data: Any) -> dict:
    columns = getattr(data, "columns", None)
    if columns is None or not hasattr(data, "__len__"):
        return {}
    return {"rows": len(data), "columns": [str(name) for name in columns]}


def _discard_all(saved: dict[str, Draft]) -> None:
    for draft in saved.values():
        draft.discard()
    saved.clear()


def _storage_error(error: BaseException, where: str, folder: Path | None) -> HardcoverError | None:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if cause is None or cause.errno is None:
        return None
    reason = os.strerror(cause.errno)
    fix = f"Free space or mend the path, or set HARDCOVER_DATA_ROOT to another folder; nothing of {where} was kept."
    return StorageError(f"cannot save: {reason.lower()}", f"{where}, {folder}", fix)
