"""The catalog: a run sees its own versions, everyone else only committed ones."""

import pytest
from kedro.io import DatasetNotFoundError

from hardcover import catalog as catalogs
from hardcover.catalog import VersionedCatalog
from hardcover.errors import StorageError, VersionError
from hardcover.wheel import BytesDataset


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
def open_catalog(tmp_path):
    def make(
        save_version: str, load_versions: dict | None = None, kind: type = BytesDataset
    ) -> VersionedCatalog:
        catalogs._verified.clear()
        pattern = {"type": kind, "filepath": f"{tmp_path}/03_primary/{{case}}/clean.bin", "versioned": True}
        return VersionedCatalog.from_config(
            {"{case}.clean": pattern}, save_version=save_version, load_versions=load_versions
        )

    return make


def facts_of(name: str) -> dict:
    return {"node": "made"}


def test_what_a_run_saved_is_seen_by_itself_and_by_others_after_the_commit(open_catalog):
    run, other = open_catalog("1"), open_catalog("2")
    run.save("case.clean", b"rows")

    assert run.load("case.clean") == b"rows"
    with pytest.raises(VersionError, match="no committed version"):
        other.load("case.clean")
    manifest = run.commit(facts_of)["case.clean"]
    assert (manifest["dataset"], manifest["version"], manifest["node"]) == ("case.clean", "1", "made")
    assert other.load("case.clean") == b"rows"


def test_what_was_discarded_never_was(open_catalog, tmp_path):
    run = open_catalog("1")
    run.save("case.clean", b"rows")

    run.discard()

    with pytest.raises(VersionError, match="no committed version"):
        open_catalog("2").load("case.clean")
    assert not list(tmp_path.rglob("*.bin"))


def test_a_catalog_that_is_gone_leaves_nothing_uncommitted(open_catalog, tmp_path):
    run = open_catalog("1")
    run.save("case.clean", b"rows")

    del run

    assert not list(tmp_path.rglob("*.bin"))


def test_a_newer_version_that_is_half_written_is_not_loaded(open_catalog, tmp_path):
    run = open_catalog("1")
    run.save("case.clean", b"old")
    run.commit(facts_of)
    torn = tmp_path / "03_primary" / "case" / "clean.bin" / "9" / "clean.bin"
    torn.parent.mkdir()
    torn.write_bytes(b"ha")

    assert open_catalog("2").load("case.clean") == b"old"


def test_a_named_version_is_loaded_and_an_unknown_one_refused(open_catalog):
    for version in ("1", "2"):
        run = open_catalog(version)
        run.save("case.clean", version.encode())
        run.commit(facts_of)

    assert open_catalog("3").load("case.clean") == b"2"
    assert open_catalog("3").load("case.clean", version="1") == b"1"
    assert open_catalog("3", {"case.clean": "1"}).load("case.clean") == b"1"
    with pytest.raises(VersionError, match="no committed version '7'"):
        open_catalog("3").load("case.clean", version="7")


def test_a_changed_file_is_found_at_load(open_catalog, tmp_path):
    run = open_catalog("1")
    run.save("case.clean", b"rows")
    run.commit(facts_of)
    (tmp_path / "03_primary" / "case" / "clean.bin" / "1" / "clean.bin").write_bytes(b"sowr")

    with pytest.raises(VersionError, match="is not the one that was committed"):
        open_catalog("2").load("case.clean")


def test_a_full_disk_is_named_and_leaves_nothing(open_catalog, tmp_path):
    run = open_catalog("1", kind=FullDisk)

    with pytest.raises(StorageError, match=r"cannot save: no space left on device \(dataset 'case\.clean'"):
        run.save("case.clean", b"rows")

    run.discard()
    assert not list(tmp_path.rglob("*.bin"))


def test_an_interrupted_save_leaves_nothing(open_catalog, tmp_path):
    run = open_catalog("1", kind=Torn)

    with pytest.raises(KeyboardInterrupt):
        run.save("case.clean", b"rows")

    run.discard()
    assert not list(tmp_path.rglob("*.bin"))


def test_an_unknown_dataset_is_kedros_own_error(open_catalog):
    with pytest.raises(DatasetNotFoundError):
        open_catalog("1").load("nothing")


def test_a_notebook_reads_committed_versions_only(here):
    from hardcover.stage import Stage

    stage = Stage("maintenance", env="ci")

    torn = here.data / "08_reporting" / "maintenance" / "metrics.json" / "9" / "metrics.json"
    torn.parent.mkdir(parents=True)
    torn.write_text("{}")
    with pytest.raises(VersionError, match="no committed version"):
        stage.load("metrics")
