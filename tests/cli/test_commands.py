"""Verbs that look after the data folder: verify and clean."""

import json
import random
import shutil

import pytest

from hardcover.errors import VersionError
from hardcover.store import catalog, versions
from tests.conftest import Place


@pytest.fixture
def place(kedro_run, tmp_path) -> Place:
    """A copy of a finished run, to damage."""
    shutil.copytree(kedro_run.data, tmp_path / "data")
    return Place(tmp_path)


def flip(path, chance) -> bytes:
    """Change one byte of a file; gives what was there."""
    whole = path.read_bytes()
    content = bytearray(whole)
    content[chance.randrange(len(content))] ^= chance.randrange(1, 256)
    path.write_bytes(content)
    return whole


def test_a_thousand_flipped_bytes_are_a_thousand_found(place):
    chance, found = random.Random(4), 0
    files = {
        path: folder
        for folder in versions.all_committed(place.data)
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert len(files) > 40

    for _ in range(1000):
        path = chance.choice(list(files))
        whole = flip(path, chance)
        with pytest.raises(VersionError, match=path.name.replace(".", r"\.")):
            versions.verify(files[path])
        found += 1
        path.write_bytes(whole)

    assert found == 1000
    assert all(versions.verify(folder) for folder in versions.all_committed(place.data))


def test_a_flipped_byte_in_any_file_is_found_at_load(here, place, monkeypatch):
    from hardcover.project.case import Case

    monkeypatch.setenv("HARDCOVER_DATA_ROOT", str(place.data))
    chance, stage = random.Random(5), Case("maintenance", env="ci")
    names = {versions.manifest_of(folder)["dataset"]: folder for folder in versions.all_committed(place.data)}
    readable = [name for name in names if not name.endswith("_figures")]
    assert len(readable) > 14

    for name in readable:
        (file,) = versions.manifest_of(names[name])["files"]
        for path in (names[name] / file, names[name] / versions.MANIFEST):
            whole = flip(path, chance)
            catalog._verified.clear()
            with pytest.raises(VersionError):
                stage.load(name.removeprefix("maintenance."))
            path.write_bytes(whole)


def test_verify_says_what_is_damaged_and_how_to_mend_it(place):
    whole = place.call("hardcover", "verify")
    assert "no damaged" in whole.stdout
    model = place.newest("06_models", "model.txt")
    flip(model, random.Random(6))

    done = place.call("hardcover", "verify", check=False)

    assert done.returncode == 1
    assert f"{model}" in done.stdout
    assert f"rm -r {model.parent}" in done.stdout
    assert "1 damaged" in done.stdout
    said = place.call("hardcover", "verify", "--json", check=False)
    assert [problem["version"] for problem in json.loads(said.stdout)["problems"]] == [str(model.parent)]


def test_clean_removes_what_a_killed_run_left_and_says_so(place):
    left = place.data / "06_models" / "maintenance" / "model.txt" / "2999-01-01T00.00.00.000000Z"
    left.mkdir()
    (left / "model.txt").write_text("half a mod")
    (left / versions.WRITING).touch()
    foreign = place.data / "01_raw" / "delivery" / "manifest.json"
    foreign.parent.mkdir()
    foreign.write_text("{}")
    (place.data / "01_raw" / "other").mkdir()

    done = place.call("hardcover", "clean")

    assert f"removed {left}" in done.stdout
    assert not left.exists()
    assert foreign.exists()
    assert (place.data / "01_raw" / "other").exists()
    assert "0 leftovers" in place.call("hardcover", "clean").stdout


def test_an_error_as_json_carries_its_facts(place):
    done = place.call("hardcover", "prove", "maintenence", "--json", check=False)

    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert found["kind"] == "UnknownName"
    assert found["what"] == "unknown case 'maintenence'"
    assert found["facts"] == {
        "kind": "case",
        "name": "maintenence",
        "known": ["alerts", "failure_mode", "fraud", "maintenance", "recommendation"],
    }
    assert "Did you mean 'maintenance'?" in found["fix"]
