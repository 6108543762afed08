"""Kedro's catalog with versions that count only when committed.

A project's settings.py names both classes, ``DATA_CATALOG_CLASS`` for ``kedro run`` and ``CONTEXT_CLASS`` for notebooks and
``catalog.load`` in JupyterLab, so that all see the same versions.
"""

import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.io import AbstractVersionedDataset, DataCatalog, DatasetError

from hardcover import versions
from hardcover.errors import HardcoverError, StorageError

_verified: set[Path] = set()


class VersionedCatalog(DataCatalog):
    """Load the newest committed version of a dataset; hold what is saved back until ``commit``.

    Within one run, a node reads what an earlier node of the same run saved. To everyone else it does not exist
    before the commit, and after ``discard``, or when the process dies, it never did.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.saved: dict[str, Path] = {}
        self.loaded: dict[str, str] = {}
        # A leftover of a killed process is harmless; one of a finished process would be untidy.
        weakref.finalize(self, _discard_all, self.saved)

    def load(self, ds_name: str, version: str | None = None) -> Any:
        """Load a dataset in the given version, else this run's own, else the newest committed one.

        Raises
        ------
        VersionError
            When there is no committed version, or its files are not those that were committed.
        """
        dataset = self.get(ds_name)
        if not isinstance(dataset, AbstractVersionedDataset) or dataset._version is None:
            return super().load(ds_name, version)
        if ds_name in self.saved and version is None:
            return super().load(ds_name, self.saved[ds_name].name)
        folder = self.committed_folder(ds_name, version)
        if folder not in _verified:
            versions.verify(folder)
            _verified.add(folder)
        self.loaded[ds_name] = folder.name
        return super().load(ds_name, folder.name)

    def committed_folder(self, ds_name: str, version: str | None = None) -> Path:
        """Give the folder of a dataset's given or pinned version, else of its newest committed one.

        Raises
        ------
        VersionError
            When there is no such committed version.
        """
        version = version or self._load_versions.get(ds_name)
        folder = Path(self[ds_name]._filepath)
        known = versions.committed(folder)
        if (version not in known) if version else not known:
            raise versions.no_version(ds_name, folder, version)
        return folder / (version or known[0])

    def save(self, ds_name: str, data: Any) -> None:
        """Save a dataset; nobody else sees the version before ``commit``.

        Raises
        ------
        StorageError
            When the disk is full or the path cannot be written.
        """
        dataset = self.get(ds_name, fallback_to_runtime_pattern=True)
        if isinstance(dataset, AbstractVersionedDataset) and dataset._version is not None:
            self.saved[ds_name] = Path(dataset._filepath) / dataset.resolve_save_version()
        try:
            super().save(ds_name, data)
        except DatasetError as error:
            raise _storage_error(error, f"dataset {ds_name!r}", self.saved.get(ds_name)) or error from error

    def commit(self, facts_of: Callable[[str], dict]) -> dict[str, dict]:
        """Make all that was saved count; gives the manifests by dataset.

        Parameters
        ----------
        facts_of
            Gives what a dataset's manifest says about its origin.
        """
        manifests = {}
        try:
            for name, folder in list(self.saved.items()):
                facts = {"dataset": name, "version": folder.name, **facts_of(name)}
                manifests[name] = versions.commit(folder, facts)
                _verified.add(folder)
        except OSError as error:
            raise _storage_error(error, f"dataset {name!r}", folder) or error from error
        self.saved.clear()
        return manifests

    def discard(self) -> None:
        """Remove all that was saved and not committed."""
        _discard_all(self.saved)


class VersionedContext(KedroContext):
    """Give the same catalog outside a run, where Kedro takes its own whatever ``DATA_CATALOG_CLASS`` says."""

    def _get_catalog(self, catalog_class: type = VersionedCatalog, **options: Any) -> Any:
        return super()._get_catalog(catalog_class=catalog_class, **options)


def _discard_all(saved: dict[str, Path]) -> None:
    for folder in saved.values():
        if not (folder / versions.MANIFEST).is_file():
            versions.discard(folder)
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
