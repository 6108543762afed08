"""The catalog: a run sees its own versions, everyone else only committed ones."""

import pandas as pd
import pytest
from kedro.io import DatasetNotFoundError

from hardcover.errors import StorageError, VersionError
from hardcover.store import catalog as catalogs
from hardcover.store import versions
from hardcover.store.catalog import VersionedCatalog
from hardcover.store.datasets import BytesDataset


def saved_and_committed(catalog: VersionedCatalog, content: bytes) -> str:
    catalog.save("case.clean", content)
    return catalog.commit(facts_of)["case.clean"]["version"]


def file_of(catalog: VersionedCatalog):
    return catalog.committed_folder("case.clean") / "clean.bin"


class FullDisk(BytesDataset):
    """Writes half of what it should, then finds the disk full."""

    def save(self, data: bytes) -> None:
        super().save(data[: len(data) // 2])
        raise OSError(28, "No space left on device")


class Torn(BytesDataset):
    """Writes half of what it should, then is interrupted."""

    def save(self, data: bytes) -> None:
        super().save(data[: len(data) // 2])
        raise KeyboardInterrupt


@pytest.fixture
def open_catalog(here, tmp_path):
    def make(load_versions: dict | None = None, kind: type = BytesDataset) -> VersionedCatalog:
        catalogs._verified.clear()
        pattern = {"type": kind, "filepath": f"{tmp_path}/03_primary/{{case}}/clean.bin", "versioned": True}
        catalog = VersionedCatalog.from_config({"{case}.clean": pattern}, load_versions=load_versions)
        catalog.in_run = True
        return catalog

    return make


def facts_of(name: str) -> dict:
    return {"node": "made"}


def test_what_a_run_saved_is_seen_by_itself_and_by_others_after_the_commit(open_catalog):
    run, other = open_catalog(), open_catalog()
    run.save("case.clean", b"rows")

    assert run.load("case.clean") == b"rows"
    with pytest.raises(VersionError, match="no committed version"):
        other.load("case.clean")
    manifest = run.commit(facts_of)["case.clean"]
    assert (manifest["dataset"], manifest["node"]) == ("case.clean", "made")
    assert other.load("case.clean") == b"rows"


def test_what_was_discarded_never_was(open_catalog, tmp_path):
    run = open_catalog()
    run.save("case.clean", b"rows")

    run.discard()

    with pytest.raises(VersionError, match="no committed version"):
        open_catalog().load("case.clean")
    assert not list(tmp_path.rglob("*.bin"))


def test_a_catalog_that_is_gone_leaves_nothing_uncommitted(open_catalog, tmp_path):
    run = open_catalog()
    run.save("case.clean", b"rows")

    del run

    assert not list(tmp_path.rglob("*.bin"))


def test_a_newer_version_that_is_half_written_is_not_loaded(open_catalog, tmp_path):
    run = open_catalog()
    run.save("case.clean", b"old")
    run.commit(facts_of)
    torn = tmp_path / "03_primary" / "case" / "clean.bin" / "9" / "clean.bin"
    torn.parent.mkdir()
    torn.write_bytes(b"ha")

    assert open_catalog().load("case.clean") == b"old"


def test_a_named_version_is_loaded_and_an_unknown_one_refused(open_catalog):
    first, second = (saved_and_committed(open_catalog(), content) for content in (b"1", b"2"))

    assert open_catalog().load("case.clean") == b"2"
    assert open_catalog().load("case.clean", version=first) == b"1"
    assert open_catalog({"case.clean": first}).load("case.clean") == b"1"
    assert first < second
    with pytest.raises(VersionError, match="no committed version '7'"):
        open_catalog().load("case.clean", version="7")


def test_a_save_outside_a_run_is_committed_by_itself(open_catalog):
    session = open_catalog()
    session.in_run = False

    session.save("case.clean", b"by hand")

    assert open_catalog().load("case.clean") == b"by hand"
    assert open_catalog().exists("case.clean")
    assert not open_catalog().exists("other.clean")


def test_a_manifest_says_rows_and_columns_of_a_table(tmp_path, here):
    place = {"type": "pandas.CSVDataset", "filepath": f"{tmp_path}/rows.csv", "versioned": True}
    catalog = VersionedCatalog.from_config({"rows": place})

    catalog.save("rows", pd.DataFrame({"a": [1, 2, 3], "b": [4, 5, 6]}))

    manifest = versions.manifest_of(catalog.committed_folder("rows"))
    assert (manifest["rows"], manifest["columns"]) == (3, ["a", "b"])


def test_a_cached_dataset_never_gives_another_version(tmp_path, here):
    inner = {"type": "pandas.CSVDataset", "filepath": f"{tmp_path}/rows.csv", "save_args": {"index": False}}
    catalog = VersionedCatalog.from_config(
        {"rows": {"type": "CachedDataset", "versioned": True, "dataset": inner}}
    )
    for value in (1, 2):
        catalog.save("rows", pd.DataFrame({"a": [value]}))
    first, second = reversed(versions.committed(tmp_path / "rows.csv"))

    assert catalog.load("rows")["a"].tolist() == [2]
    assert catalog.load("rows", version=first)["a"].tolist() == [1]
    assert catalog.load("rows", version=second)["a"].tolist() == [2]


def test_without_verifying_a_changed_file_is_taken(open_catalog, monkeypatch):
    saved_and_committed(open_catalog(), b"rows")
    file_of(open_catalog()).write_bytes(b"sowr")
    monkeypatch.setenv("HARDCOVER_DATA_VERIFY", "no")

    assert open_catalog().load("case.clean") == b"sowr"


def test_a_changed_file_is_found_at_load(open_catalog):
    saved_and_committed(open_catalog(), b"rows")
    file_of(open_catalog()).write_bytes(b"sowr")

    with pytest.raises(VersionError, match="is not the one that was committed"):
        open_catalog().load("case.clean")


def test_a_full_disk_is_named_and_leaves_nothing(open_catalog, tmp_path):
    run = open_catalog(kind=FullDisk)

    with pytest.raises(StorageError, match=r"cannot save: no space left on device \(dataset 'case\.clean'"):
        run.save("case.clean", b"rows")

    run.discard()
    assert not list(tmp_path.rglob("*.bin"))


def test_an_interrupted_save_leaves_nothing(open_catalog, tmp_path):
    run = open_catalog(kind=Torn)

    with pytest.raises(KeyboardInterrupt):
        run.save("case.clean", b"rows")

    run.discard()
    assert not list(tmp_path.rglob("*.bin"))


def test_an_unknown_dataset_is_kedros_own_error(open_catalog):
    with pytest.raises(DatasetNotFoundError):
        open_catalog().load("nothing")


def test_a_notebook_reads_committed_versions_only(here):
    from hardcover.project.case import Case

    stage = Case("maintenance", env="ci")

    torn = here.data / "08_reporting" / "maintenance" / "metrics.json" / "9" / "metrics.json"
    torn.parent.mkdir(parents=True)
    torn.write_text("{}")
    with pytest.raises(VersionError, match="no committed version"):
        stage.load("metrics")


def test_a_large_file_is_verified_while_it_is_read(open_catalog, monkeypatch):
    monkeypatch.setattr(catalogs, "LARGE", 1)
    saved_and_committed(open_catalog(), b"rows")

    assert open_catalog().load("case.clean") == b"rows"
    file_of(open_catalog()).write_bytes(b"sowr")
    with pytest.raises(VersionError, match="is not the one that was committed"):
        open_catalog().load("case.clean")
