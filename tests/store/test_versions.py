"""Versions: committed or not there, whole or refused."""

import datetime
import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardcover.errors import VersionError
from hardcover.store import disk, drafts, versions

OLD = Path(__file__).parent / "old"


def save(folder, version: str, content: bytes = b"rows"):
    (folder / version).mkdir(parents=True)
    (folder / version / "rows.csv").write_bytes(content)
    return folder / version


def test_a_version_counts_only_once_committed(tmp_path):
    first = save(tmp_path, "2026-01-01T00.00.00.000Z")
    versions.commit(first, {"dataset": "rows"})
    save(tmp_path, "2026-01-02T00.00.00.000Z")

    assert versions.committed(tmp_path) == [first.name]


def test_the_newest_comes_first_and_strange_folders_are_passed_over(tmp_path):
    for version in ("b", "a", "c"):
        versions.commit(save(tmp_path, version), {})
    (tmp_path / "d").mkdir()
    (tmp_path / "e").write_text("a file")

    assert versions.committed(tmp_path) == ["c", "b", "a"]
    assert versions.committed(tmp_path / "nothing") == []


def test_a_manifest_says_what_was_saved(tmp_path):
    folder = save(tmp_path, "v", b"abc")

    manifest = versions.commit(folder, {"dataset": "rows", "node": "read"})

    assert manifest["format"] == "hardcover.manifest/2"
    assert manifest["files"]["rows.csv"] == {
        "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "bytes": 3,
    }
    assert manifest["content"] == versions.content_of(manifest["files"])
    assert versions.verify(folder) | manifest == versions.verify(folder)


def test_a_version_without_files_cannot_be_committed(tmp_path):
    (tmp_path / "v").mkdir()

    with pytest.raises(VersionError, match="nothing was saved"):
        versions.commit(tmp_path / "v", {})


@given(st.data())
def test_any_flipped_byte_is_found_in_any_file_the_manifest_too(tmp_path_factory, data):
    folder = save(tmp_path_factory.mktemp("flip"), "v", bytes(range(200)))
    (folder / "parts").mkdir()
    (folder / "parts" / "more.csv").write_bytes(b"1,2,3")
    versions.commit(folder, {"dataset": "rows", "inputs": {"raw": {"version": "1"}}})
    path = data.draw(st.sampled_from(["rows.csv", "parts/more.csv", "manifest.json"]).map(folder.joinpath))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)

    with pytest.raises(VersionError, match=path.name):
        versions.verify(folder)


def test_parameters_of_any_kind_that_yaml_has_can_be_recorded(tmp_path):
    odd = {10: "ten", 9: None, "since": datetime.date(2026, 1, 1), "rate": float("nan")}
    folder = save(tmp_path, "v")

    versions.commit(folder, {"parameters": odd})

    assert versions.verify(folder)["parameters"]["since"] == "2026-01-01"
    assert versions.verify(folder)["parameters"]["9"] is None


def test_a_manifest_of_the_first_format_still_counts(tmp_path):
    folder = save(tmp_path, "2026-11-24T08.09.45.020Z", b"abc")
    (folder / "manifest.json").write_bytes((OLD / "manifest-1.json").read_bytes())

    assert versions.latest(tmp_path) == folder.name
    assert versions.verify(folder)["dataset"] == "maintenance.clean"
    (folder / "rows.csv").write_bytes(b"abd")
    with pytest.raises(VersionError, match="is not the one that was committed"):
        versions.verify(folder)


def test_the_newest_version_is_found_however_the_pointer_is_damaged(tmp_path):
    for version in ("a", "b"):
        versions.commit(save(tmp_path, version), {})
    pointer = tmp_path / ".latest"
    whole = pointer.read_bytes()

    for damaged in (b"", b"\xff\xfe", whole[:-1], whole.replace(b"b\na", b"a\na"), b"0\nz"):
        pointer.write_bytes(damaged)
        assert versions.latest(tmp_path) == "b"
    pointer.unlink()
    assert versions.latest(tmp_path) == "b"
    shutil.rmtree(tmp_path / "b")
    assert versions.latest(tmp_path) == "a"


def test_a_lost_file_is_named(tmp_path):
    folder = save(tmp_path, "v")
    versions.commit(folder, {})
    (folder / "rows.csv").unlink()

    with pytest.raises(VersionError, match=r"'rows\.csv' of a committed version is missing"):
        versions.verify(folder)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"format": "other"}', '{"format": "hardcover.manifest/2", "files": 3}']
)
def test_a_damaged_manifest_is_named_with_what_to_do(tmp_path, content):
    folder = save(tmp_path, "v")
    (folder / "manifest.json").write_text(content)

    with pytest.raises(VersionError, match=r"manifest\.json.*an older version is then the latest"):
        versions.verify(folder)


def test_cleaning_removes_the_unfinished_and_nothing_else(tmp_path):
    dataset = tmp_path / "03_primary" / "maintenance" / "clean.parquet"
    kept, left = save(dataset, "1"), save(dataset, "2")
    versions.commit(kept, {})
    (left / versions.WRITING).touch()
    foreign = save(dataset, "3")
    report = tmp_path / "08_reporting" / "maintenance" / "2026-run" / "01_data.ipynb"
    report.parent.mkdir(parents=True)
    report.touch()

    removed = drafts.clean(tmp_path)

    assert removed == [left]
    assert kept.exists()
    assert foreign.exists()
    assert report.exists()


def test_a_file_is_old_or_new_whenever_writing_stops(tmp_path, monkeypatch):
    path = tmp_path / "manifest.json"
    path.write_bytes(b"old")

    for step in ("write_bytes", "fsync", "replace"):

        def fail(*arguments, **options):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            if step == "fsync":
                patch.setattr(os, "fsync", fail)
            else:
                patch.setattr(type(path), step, fail)
            with pytest.raises(OSError, match="No space left"):
                disk.write_atomically(path, b"new")

        assert path.read_bytes() == b"old"
        assert list(tmp_path.iterdir()) == [path]

    disk.write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


def test_the_error_for_no_version_lists_those_that_are_there(tmp_path):
    versions.commit(save(tmp_path, "2026-01-01"), {})

    error = versions.no_version("maintenance.clean", tmp_path, "2027-01-01")

    assert "'maintenance.clean' has no committed version '2027-01-01'" in str(error)
    assert "Versions: 2026-01-01" in str(error)
    assert json.dumps(str(error))
