"""Drafts: claimed once, committed whole or never there, gone when their writer is."""

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hardcover.store import drafts, versions

HERE = Path(__file__).parent
KINDS = ["csv", "parquet", "json", "picture", "partitioned"]
SOAK = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
# What is done about an error is the same for both.
FAILING = [
    *zip(KINDS, ["ENOSPC", "EIO"] * 3, strict=False),
    *(zip(KINDS, ["EIO", "ENOSPC"] * 3, strict=False) if SOAK else ()),
]
MANY = """
import sys
from kedro_datasets.json import JSONDataset
from hardcover.store.catalog import VersionedCatalog
catalog = VersionedCatalog.from_config(
    {"facts": {"type": "json.JSONDataset", "filepath": sys.argv[1] + "/facts.json", "versioned": True}}
)
for number in range(int(sys.argv[3])):
    catalog.save("facts", {"writer": sys.argv[2], "number": number})
"""


@pytest.fixture(scope="session")
def faults(tmp_path_factory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to build tests/faults.c with")
    library = tmp_path_factory.mktemp("faults") / "faults.so"
    source = HERE / "faults.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def attempts(faults: Path, folder: Path, *arguments: str) -> dict:
    command = [sys.executable, HERE / "saving.py", folder, *arguments]
    environment = {**os.environ, "LD_PRELOAD": str(faults), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("kind", KINDS)
def test_whoever_is_killed_at_any_call_leaves_the_old_or_the_new_version(faults, tmp_path, kind):
    found = attempts(faults, tmp_path, kind, "calls")

    # The manifest's rename is the point where the old becomes the new; little comes after it.
    assert found["old"] > 15
    assert 1 <= found["new"] < 6


@pytest.mark.parametrize("kind", KINDS)
def test_whoever_is_killed_at_any_moment_leaves_the_old_or_the_new_version(faults, tmp_path, kind):
    found = attempts(faults, tmp_path, kind, "moments", "200" if SOAK else "15")

    assert found["tried"] == (200 if SOAK else 15)


@pytest.mark.parametrize(("kind", "error"), FAILING)
def test_a_disk_that_fails_at_any_call_is_an_error_and_leaves_the_old_or_the_new_version(
    faults, tmp_path, kind, error
):
    found = attempts(faults, tmp_path, kind, error)

    assert found["tried"] > 15
    assert found["old"] > 10


def test_many_processes_that_save_one_dataset_lose_and_share_no_version(here, tmp_path):
    saves = 1000 if SOAK else 60
    command = [sys.executable, "-c", MANY, tmp_path]
    writers = [subprocess.Popen([*command, str(number), str(saves)], env=os.environ) for number in range(8)]

    assert [writer.wait() for writer in writers] == [0] * 8

    dataset = tmp_path / "facts.json"
    found = versions.committed(dataset)
    assert len(found) == 8 * saves
    said = [json.loads((dataset / name / "facts.json").read_text()) for name in found]
    assert {(facts["writer"], facts["number"]) for facts in said} == {
        (str(writer), number) for writer in range(8) for number in range(saves)
    }
    assert versions.latest(dataset) == found[0]
    for writer in range(8):
        in_order = [facts["number"] for facts in reversed(said) if facts["writer"] == str(writer)]
        assert in_order == sorted(in_order)
    assert drafts.clean(tmp_path) == []


def test_versions_are_named_by_time_and_never_twice(tmp_path):
    names = [drafts.draft(tmp_path / "rows").folder.name for _ in range(50)]

    assert names == sorted(set(names))
    assert names[0].startswith(f"{datetime.now(UTC):%Y-%m-%dT%H}")


def test_a_clock_that_was_set_back_does_not_hide_a_new_version(tmp_path):
    future = tmp_path / "rows" / "2999-12-31T23.59.59.999999Z"
    future.mkdir(parents=True)
    (future / "rows.csv").write_text("1")
    versions.commit(future, {})

    draft = drafts.draft(tmp_path / "rows")
    (draft.folder / "rows.csv").write_text("2")
    draft.commit({})

    assert draft.folder.name == "3000-01-01T00.00.00.000000Z"
    assert versions.latest(tmp_path / "rows") == draft.folder.name


def test_cleaning_spares_what_is_being_written(tmp_path):
    draft = drafts.draft(tmp_path / "rows")
    (draft.folder / "rows.csv").write_text("1")

    assert drafts.clean(tmp_path) == []

    draft._release()
    assert drafts.clean(tmp_path) == [draft.folder]
    assert not (tmp_path / "rows").exists()


def test_cleaning_finds_versions_that_were_copied_in_by_hand(tmp_path):
    draft = drafts.draft(tmp_path / "rows")
    (draft.folder / "rows.csv").write_text("1")
    draft.commit({})
    shutil.copytree(draft.folder, tmp_path / "rows" / "2999-01-01T00.00.00.000000Z")
    assert versions.latest(tmp_path / "rows") == draft.folder.name

    drafts.clean(tmp_path)

    assert versions.latest(tmp_path / "rows") == "2999-01-01T00.00.00.000000Z"


def test_committing_again_makes_an_old_version_the_newest(tmp_path):
    folders = []
    for text in ("1", "2"):
        draft = drafts.draft(tmp_path / "rows")
        (draft.folder / "part").mkdir()
        (draft.folder / "part" / "rows.csv").write_text(text)
        draft.commit({"node": "read", "version": draft.folder.name})
        folders.append(draft.folder)

    manifest = drafts.commit_again(folders[0])

    newest = tmp_path / "rows" / versions.latest(tmp_path / "rows")
    assert newest > folders[1]
    assert (newest / "part" / "rows.csv").read_text() == "1"
    assert (manifest["node"], manifest["version"], manifest["same_as"]) == (
        "read",
        newest.name,
        folders[0].name,
    )
    assert versions.verify(newest)["content"] == versions.manifest_of(folders[0])["content"]
